//! `simulator`: only the two simulated vendors, on a port of their own.

use std::sync::Arc;

use clap::Args;
use simulator::Simulator;

use super::{Outcome, log, output, serve};
use crate::clock::Clock;

/// How to script a payment's outcome, for people who have the program but not its source.
const SCENES: &str = "\
The name of a destination scripts how its payments end: a Stripe account acct_sim_SCENE_ANYTHING, a PayPal address
sim-SCENE-ANYTHING@example.com (with - in place of each _ of the scene). Any other destination is paid.

  SCENE                    at Stripe                                     at PayPal
  closed                   the bank account is closed                    the account is locked
  no_account               the bank does not know the account            there is no such address
  restricted               the account may not receive transfers         the account may not receive
  paid_then_failed         paid, fails at the bank later                 paid, reversed later
  slow                     takes 3 days                                  takes 3 days
  unclaimed                waits for 10 days, then canceled              unclaimed, returned after 30 days
  unclaimed_then_returned  canceled after a few seconds                  unclaimed, returned after a few seconds
  held                     waits a few seconds, then paid                on hold a few seconds, then paid
  blocked                  the payout to the bank is not allowed         blocked by a rule
  refunded                 paid, declined by the bank later              paid, sent back by the receiver later
  denied                   the transfer is not allowed                   the whole batch is denied
  limit                    over the limit of the day                     over the receiver's limit
  minimum                  the balance is said not to suffice            paid
  refused                  the account is refused                        the address is refused";

#[derive(Args)]
#[command(after_help = SCENES)]
pub(super) struct Options {
    /// The address to listen on; port 0 picks a free port
    #[arg(long, default_value = "127.0.0.1:12111")]
    listen: String,
    /// Answer 429 above the vendors' published rate limits
    #[arg(long)]
    enforce_rate_limits: bool,
    /// How long a payment takes to settle, in milliseconds
    #[arg(long, default_value_t = 1_000)]
    settle_ms: u32,
    /// Print one JSON object when ready
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(options: Options) -> Outcome {
    log::begin("info", "text");
    let clock = Clock::system();
    let mut played = simulator::Options::new(Arc::new(move || clock.now()));
    played.enforce_rate_limits = options.enforce_rate_limits;
    played.pace.stripe_payout_us = i64::from(options.settle_ms) * 1_000;
    played.pace.paypal_item_us = i64::from(options.settle_ms) * 1_000;
    let (stripe, id, secret) =
        (played.stripe_key.clone(), played.paypal_client_id.clone(), played.paypal_client_secret.clone());
    let vendors = Simulator::new(played);
    let listener = serve::bind(&options.listen).await?;
    let base = format!("http://{}", listener.local_addr()?);
    if options.json {
        output::json(&serde_json::json!({
            "base_url": base, "stripe_secret_key": stripe, "paypal_client_id": id, "paypal_client_secret": secret,
        }));
    } else {
        output::print_line(&format!("Stripe and PayPal are simulated at {base}"));
        output::print_line("  In every other terminal of the rehearsal:");
        output::print_line(&format!("export BURSAR_STRIPE_API_BASE={base} BURSAR_PAYPAL_API_BASE={base}"));
        output::print_line(&format!("  Stripe secret key {stripe}; PayPal client {id}, secret {secret}"));
        output::print_line(&format!(
            "  certificate root for BURSAR_PAYPAL_CERT_CA: {base}/_sim/ca.pem; books: {base}/_sim/books"
        ));
    }
    let moving = vendors.clone();
    tokio::select! {
        served = vendors.serve(listener) => served?,
        () = moving.run() => {}
        () = serve::asked_to_stop() => {}
    }
    Ok(())
}
