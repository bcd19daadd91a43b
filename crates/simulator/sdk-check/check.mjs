// Drives a running simulator with the vendors' own SDKs and checks the webhooks that it sends.
//
//   node check.mjs http://127.0.0.1:PORT [WEBHOOK_URL WHSEC]
//
// With the two optional arguments, an event signed by Stripe's SDK under that secret is also posted to that
// URL: it must be accepted, and refused with one byte changed.

import assert from 'node:assert/strict';
import crypto from 'node:crypto';
import http from 'node:http';
import payouts from '@paypal/payouts-sdk';
import Stripe from 'stripe';

const base = new URL(process.argv[2] ?? usage());
const [receiverUrl, receiverSecret] = process.argv.slice(3);
const stripe = new Stripe('sk_test_sim', {
  host: base.hostname,
  port: Number(base.port),
  protocol: 'http',
  apiVersion: '2026-05-27.dahlia',
  maxNetworkRetries: 0,
  telemetry: false,
});
const environment = new payouts.core.PayPalEnvironment('sim_client', 'sim_secret', base.origin, base.origin);
const paypal = new payouts.core.PayPalHttpClient(environment);
const received = [];
const account = 'acct_sdkcheck';
let failures = 0;

const receiver = await listen();
const address = `http://127.0.0.1:${receiver.address().port}`;
const endpoints = {};

await check('stripe: webhook endpoints', registerAtStripe);
await check('stripe: account and balance', accountAndBalance);
await check('stripe: transfer', transfer);
await check('stripe: payout', payout);
await check('stripe: errors become the SDK\'s own', stripeErrors);
await check('paypal: webhook', registerAtPayPal);
await check('paypal: batch, get, item', batch);
await check('paypal: cancel', cancel);
await check('paypal: a repeated sender_batch_id', repeated);
await check('stripe: a received webhook verifies, a changed one does not', stripeWebhook);
await check('paypal: a received webhook verifies, a changed one does not', paypalWebhook);
await check('stripe: a payload signed by the SDK', signedBySdk);
receiver.close();
console.log(failures === 0 ? 'all checks passed' : `${failures} checks failed`);
process.exit(failures === 0 ? 0 : 1);

async function registerAtStripe() {
  for (const connect of [false, true]) {
    const url = `${address}/stripe/${connect}`;
    endpoints[connect] = await stripe.webhookEndpoints.create({ url, connect, enabled_events: ['*'] });
    assert.match(endpoints[connect].secret, /^whsec_/);
  }
  const listed = await stripe.webhookEndpoints.list();
  assert.ok(listed.data.some((endpoint) => endpoint.id === endpoints[true].id));
  assert.equal(listed.data[0].secret, undefined);
}

async function accountAndBalance() {
  const shown = await stripe.accounts.retrieve(account);
  assert.equal(shown.capabilities.transfers, 'active');
  assert.equal(shown.payouts_enabled, true);
  const updated = await stripe.accounts.update(account, {
    settings: { payouts: { schedule: { interval: 'manual' } } },
    metadata: { partner: 'one' },
  });
  assert.equal(updated.settings.payouts.schedule.interval, 'manual');
  const balance = await stripe.balance.retrieve();
  assert.ok(balance.available.some((line) => line.currency === 'usd' && line.amount > 0));
}

async function transfer() {
  const parameters = {
    amount: 12000,
    currency: 'usd',
    destination: account,
    transfer_group: 'sdk-check',
    metadata: { transaction: 'sdk-check' },
  };
  const idempotencyKey = `tr:${crypto.randomUUID()}`;
  const made = await stripe.transfers.create(parameters, { idempotencyKey });
  const again = await stripe.transfers.create(parameters, { idempotencyKey });
  assert.equal(again.id, made.id);
  assert.equal(again.lastResponse.headers['idempotent-replayed'], 'true');
  const found = [];
  const listed = stripe.transfers.list({ transfer_group: 'sdk-check', limit: 1 });
  for await (const one of listed) found.push(one.id);
  assert.ok(found.includes(made.id));
  const reversal = await stripe.transfers.createReversal(made.id, { amount: 2000 });
  assert.equal(reversal.transfer, made.id);
}

async function payout() {
  const asAccount = { stripeAccount: account, idempotencyKey: `po:${crypto.randomUUID()}` };
  const parameters = { amount: 10000, currency: 'usd', metadata: { a: 'b' } };
  const made = await stripe.payouts.create(parameters, asAccount);
  assert.equal(made.status, 'pending');
  const paid = await until(async () => {
    const now = await stripe.payouts.retrieve(made.id, {}, { stripeAccount: account });
    return now.status === 'paid' && now;
  });
  assert.equal(paid.automatic, false);
}

async function stripeErrors() {
  const refused = async (parameters) => {
    try {
      await stripe.transfers.create(parameters);
    } catch (error) {
      return error;
    }
    throw new Error('it was accepted');
  };
  const currency = 'usd';
  const tooSmall = await refused({ amount: 0, currency, destination: account });
  assert.ok(tooSmall instanceof Stripe.errors.StripeInvalidRequestError);
  assert.equal(tooSmall.code, 'amount_too_small');
  const restricted = await refused({ amount: 1, currency, destination: 'acct_sim_restricted_1' });
  assert.equal(restricted.code, 'insufficient_capabilities_for_transfer');
}

async function registerAtPayPal() {
  const body = { url: `${address}/paypal`, event_types: [{ name: '*' }] };
  endpoints.paypal = (await askPayPal('POST', '/v1/notifications/webhooks', body)).result;
  assert.ok(endpoints.paypal.id);
}

async function batch() {
  const made = await post(`sdk-${crypto.randomUUID()}`, 'ana@example.com');
  assert.equal(made.statusCode, 201);
  const id = made.result.batch_header.payout_batch_id;
  const done = await until(async () => {
    const request = new payouts.payouts.PayoutsGetRequest(id);
    request.page(1);
    request.pageSize(10);
    request.totalRequired(true);
    const { result } = await paypal.execute(request);
    return result.batch_header.batch_status === 'SUCCESS' && result;
  });
  assert.equal(done.total_items, 1);
  const request = new payouts.payouts.PayoutsItemGetRequest(done.items[0].payout_item_id);
  const item = (await paypal.execute(request)).result;
  assert.equal(item.transaction_status, 'SUCCESS');
  assert.deepEqual(item.payout_item_fee, { currency: 'USD', value: '0.20' });
}

async function cancel() {
  const made = await post(`sdk-${crypto.randomUUID()}`, 'sim-unclaimed-1@example.com');
  const id = made.result.batch_header.payout_batch_id;
  const item = await until(async () => {
    const { result } = await paypal.execute(new payouts.payouts.PayoutsGetRequest(id));
    return result.items[0].transaction_status === 'UNCLAIMED' && result.items[0];
  });
  const request = new payouts.payouts.PayoutsItemCancelRequest(item.payout_item_id);
  assert.equal((await paypal.execute(request)).result.transaction_status, 'RETURNED');
  await assert.rejects(paypal.execute(request), { statusCode: 400 });
}

async function repeated() {
  const id = `sdk-${crypto.randomUUID()}`;
  await post(id, 'ana@example.com');
  await assert.rejects(post(id, 'ana@example.com'), (error) => {
    const [detail] = JSON.parse(error.message).details;
    assert.match(detail.link[0].href, /\/v1\/payments\/payouts\//);
    return error.statusCode === 400 && detail.field === 'SENDER_BATCH_ID';
  });
}

async function stripeWebhook() {
  const one = await webhook('/stripe/true', 'payout.paid');
  const header = one.headers['stripe-signature'];
  const { secret } = endpoints[true];
  const event = stripe.webhooks.constructEvent(one.body, header, secret);
  assert.equal(event.type, 'payout.paid');
  assert.equal(event.account, account);
  const changed = Buffer.from(one.body);
  changed[changed.length - 3] ^= 1;
  assert.throws(() => stripe.webhooks.constructEvent(changed, header, secret));
  assert.throws(() => stripe.webhooks.constructEvent(one.body, header, endpoints[false].secret));
}

async function paypalWebhook() {
  const one = await webhook('/paypal', 'ITEM.SUCCEEDED');
  const header = (name) => one.headers[`paypal-${name}`];
  const pem = await (await fetch(header('cert-url'))).text();
  const [leaf, intermediate] = pem.match(/-----BEGIN[^]+?-----END CERTIFICATE-----/g)
    .map((certificate) => new crypto.X509Certificate(certificate));
  const root = new crypto.X509Certificate(await (await fetch(new URL('/_sim/ca.pem', base))).text());
  assert.match(leaf.subject, /CN=[a-z.]+\.paypal\.com$/);
  assert.ok(leaf.verify(intermediate.publicKey) && intermediate.verify(root.publicKey));
  const genuine = (body) => {
    const fields = [header('transmission-id'), header('transmission-time'), endpoints.paypal.id, crc32(body)];
    const signature = Buffer.from(header('transmission-sig'), 'base64');
    return crypto.verify('sha256', Buffer.from(fields.join('|')), leaf.publicKey, signature);
  };
  assert.equal(header('auth-algo'), 'SHA256withRSA');
  const changed = Buffer.from(one.body);
  changed[changed.length - 3] ^= 1;
  assert.ok(genuine(one.body));
  assert.ok(!genuine(changed));
  assert.equal(await verified(header, one.body.toString()), 'SUCCESS');
  assert.equal(await verified(header, one.body.toString().replace('SUCCESS', 'PENDING')), 'FAILURE');
}

async function signedBySdk() {
  const secret = receiverSecret ?? 'whsec_check';
  const event = { id: `evt_${crypto.randomUUID()}`, object: 'event', type: 'payout.paid', livemode: false,
    created: Math.floor(Date.now() / 1000), api_version: '2026-05-27.dahlia', account, pending_webhooks: 1,
    request: { id: null, idempotency_key: null },
    data: { object: { id: 'po_unknown', object: 'payout', status: 'paid', amount: 1, currency: 'usd' } } };
  const payload = JSON.stringify(event);
  const header = stripe.webhooks.generateTestHeaderString({ payload, secret });
  assert.equal(stripe.webhooks.constructEvent(payload, header, secret).id, event.id);
  if (!receiverUrl) return;
  const deliver = (body) =>
    fetch(receiverUrl, { method: 'POST', body, headers: { 'stripe-signature': header } });
  assert.equal((await deliver(payload)).status, 200);
  assert.equal((await deliver(payload.replace('"amount":1', '"amount":2'))).status, 400);
}

// The event is spliced in as it came: written anew, it would be another one.
async function verified(header, event) {
  const names = ['auth_algo', 'cert_url', 'transmission_id', 'transmission_sig', 'transmission_time'];
  const fields = Object.fromEntries(names.map((name) => [name, header(name.replaceAll('_', '-'))]));
  const rest = JSON.stringify({ ...fields, webhook_id: endpoints.paypal.id }).slice(1);
  const body = `{"webhook_event":${event},${rest}`;
  const token = await paypal.fetchAccessToken();
  const headers = { authorization: token.authorizationString(), 'content-type': 'application/json' };
  const url = new URL('/v1/notifications/verify-webhook-signature', base);
  return (await (await fetch(url, { method: 'POST', headers, body })).json()).verification_status;
}

function post(senderBatchId, receiver) {
  const request = new payouts.payouts.PayoutsPostRequest();
  request.requestBody({
    sender_batch_header: { sender_batch_id: senderBatchId, email_subject: 'You have a payout' },
    items: [{ receiver, amount: { value: '10.00', currency: 'USD' }, sender_item_id: 'x' }],
  });
  return paypal.execute(request);
}

// The SDK knows no webhooks; its client sends any request.
function askPayPal(verb, path, body) {
  return paypal.execute({ verb, path, body, headers: { 'Content-Type': 'application/json' } });
}

function listen() {
  const server = http.createServer((request, response) => {
    const parts = [];
    request.on('data', (part) => parts.push(part));
    request.on('end', () => {
      received.push({ url: request.url, headers: request.headers, body: Buffer.concat(parts) });
      response.end();
    });
  });
  return new Promise((ready) => server.listen(0, '127.0.0.1', () => ready(server)));
}

function webhook(path, words) {
  return until(() => received.find(({ url, body }) => url === path && body.includes(words)));
}

async function until(look) {
  for (let tries = 0; tries < 200; tries += 1) {
    const found = await look();
    if (found) return found;
    await new Promise((go) => setTimeout(go, 50));
  }
  throw new Error('it did not happen within ten seconds');
}

async function check(name, run) {
  try {
    await run();
    console.log(`ok    ${name}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL  ${name}: ${error.stack ?? error}`);
  }
}

function crc32(bytes) {
  let crc = ~0;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}

function usage() {
  console.error('usage: node check.mjs http://127.0.0.1:PORT [WEBHOOK_URL WHSEC]');
  process.exit(2);
}
