//! What payments and rewards report, and to whom: the command line matches the pages, API clients get the whole timeline
//! and all concurrent changes, and partners read what they must do.

mod address;
mod next;
mod unreadable;

use axum::body::Body;
use axum::http::Request;
use bursar::cli::why::{as_json, lines};
use bursar::mail::{Language, partner_text};
use bursar::ops::people::{self, NewKey};
use bursar::ops::{OpsError, why};
use bursar::store::mails::{self, Filter};
use payout::access::Role;
use payout::eligibility::Code;
use payout::notice::Notice;
use payout::reason::Cause;
use payout::scope::Scopes;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::pages::Browser;
use crate::scenarios::Stage;
use crate::world::{Loop, World};

async fn play(stage: &mut Stage, story: &str) {
    for line in story.lines().map(str::trim).filter(|line| !line.is_empty()) {
        stage.one(line).await.unwrap();
    }
}

/// An API client with a key.
struct Program<'a> {
    world: &'a World,
    key: String,
}

impl<'a> Program<'a> {
    async fn of(world: &'a World, role: Role, partner: Option<&str>) -> Self {
        let partner = partner.map(str::to_owned);
        let new = NewKey { partner, ..NewKey::of("k", role, Scopes::kept("read,write")) };
        Self { world, key: people::create_key(&world.app, &new).await.unwrap() }
    }

    async fn ask(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header("authorization", format!("Bearer {}", self.key))
            .header("content-type", "application/json")
            .header("idempotency-key", format!("{method}{path}{body}"))
            .body(if body.is_null() { Body::empty() } else { Body::from(body.to_string()) });
        let router = bursar::web::router(self.world.works[0].clone());
        let answer = router.oneshot(request.unwrap()).await.unwrap();
        let status = answer.status().as_u16();
        let bytes = axum::body::to_bytes(answer.into_body(), 1 << 22).await.unwrap();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    async fn get(&self, path: &str) -> Value {
        let (status, body) = self.ask("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{body:#}");
        body
    }
}

fn plain(words: &str) -> String {
    words.replace("&#39;", "'").replace("&#34;", "\"").replace("&#38;", "&")
}

/// A payment in each lasting state, named after its payee.
const MANY_ENDS: &str = "
    partner ana paypal sim-unclaimed-ana@example.com
    partner bo stripe acct_sim_closed_bo
    partner cy paypal sim-closed-cy@example.com
    partner di paypal di@example.com
    partner ed stripe acct_sim_slow_ed
    partner fay paypal sim-refunded-fay@example.com
    partner gus paypal sim-blocked-gus@example.com
    reward R1 ana 10.00 approved
    reward R2 bo 20.00 approved
    reward R3 cy 30.00 approved
    reward R4 di 40.00 approved
    reward R5 ed 50.00 approved
    reward R6 fay 60.00 approved
    reward R7 gus 70.00 approved
    batch B1 all
    pay B1
    live 10 minutes";

#[tokio::test]
async fn the_command_line_says_of_a_payment_what_its_page_says() {
    let mut stage = Stage::open("told_why", 401).await;
    play(&mut stage, MANY_ENDS).await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "reader").await;
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let mut seen = Vec::new();
    for (name, reward) in ["ana", "bo", "cy", "di", "ed", "fay", "gus"].into_iter().zip(1..) {
        let number = stage.number(name).await.unwrap();
        let mut db = stage.world.app.store.read().await.unwrap();
        let why = why::find(&mut db, &number, stage.world.now()).await.unwrap();
        let of_reward = stage.number(&format!("R{reward}")).await.unwrap();
        let of_reward = why::find(&mut db, &of_reward, stage.world.now()).await.unwrap();
        drop(db);
        let said = lines(&why).join("\n");
        assert!(!said.contains("Nothing stands in the way"), "{name}: {said}");
        let page = plain(&browser.read(&format!("/transactions/{number}")).await.words());
        let payment = as_json(&why)["payment"].clone();
        assert_eq!(payment["number"], json!(number));
        let choices = payment["choices"].as_array().unwrap();
        assert!(!choices.is_empty(), "{name} has no way on");
        let words = choices.iter().map(|choice| choice["words"].as_str().unwrap().to_owned());
        let reason = &payment["reason"];
        let reason =
            ["message", "remedy"].iter().filter_map(|part| reason[*part].as_str().map(str::to_owned));
        for words in words.chain(reason).chain([payment["meaning"].as_str().unwrap().to_owned()]) {
            assert!(page.contains(&words), "the page of {name} does not say {words:?}:\n{page}");
            assert!(said.contains(&words), "`why` of {name} does not say {words:?}:\n{said}");
        }
        let api = program.get(&format!("/transactions/{number}")).await;
        assert_eq!(api["choices"], payment["choices"]);
        assert_eq!(as_json(&of_reward)["payment"], payment, "the reward leads to its payment");
        seen.push(payment["status"].as_str().unwrap().to_owned());
    }
    for status in ["pending_processing", "payout_failed", "failed", "success"] {
        assert!(seen.iter().any(|it| it == status), "{status} is not among {seen:?}");
    }
    let paid = stage.number("R4").await.unwrap();
    let eligible = program.get(&format!("/rewards/{paid}/eligibility")).await;
    assert_eq!(eligible["blockers"][0]["code"], "reward_paid");
    assert_eq!(eligible["blockers"][0]["message"], "The reward has been paid.");
    browser.read(&format!("/rewards/{paid}")).await.says("Paid by PT-");
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn what_a_partner_must_do_stands_in_the_portal_until_it_is_done() {
    let mut stage = Stage::open("told_tasks", 402).await;
    play(&mut stage, MANY_ENDS).await;
    for (name, cause) in
        [("ana", Cause::Unregistered), ("bo", Cause::AccountClosed), ("cy", Cause::ReceiverCannot)]
    {
        let mut browser = Browser::of_partner(&stage.world, Role::Partner, name).await;
        let words = partner_text::cause(Language::En, cause);
        let (number, page) = (stage.number(name).await.unwrap(), browser.read("/portal").await);
        for text in [words.message, words.remedy, number.as_str()] {
            page.says(text);
        }
        assert!(!page.words().contains("Nothing: all that we need"), "{}", page.words());
        let payout = browser.read(&format!("/portal/payouts/{number}")).await;
        payout.says(words.message);
        payout.says(words.remedy);
    }
    let mut di = Browser::of_partner(&stage.world, Role::Partner, "di").await;
    di.read("/portal").await.says("You are all set.");
    // An unclaimed payment is returned with the same reason, and the mail says so too.
    play(&mut stage, "live 31 days").await;
    let number = stage.number("ana").await.unwrap();
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let payment = program.get(&format!("/transactions/{number}")).await;
    assert_eq!(
        (&payment["status"], &payment["reason"]["code"]),
        (&json!("payout_failed"), &json!("RECEIVER_UNREGISTERED"))
    );
    let words = partner_text::cause(Language::En, Cause::Unregistered);
    let mut ana = Browser::of_partner(&stage.world, Role::PartnerAdmin, "ana").await;
    let page = ana.read("/portal").await;
    page.says(words.message);
    page.says("The money came back to us.");
    page.says(words.remedy);
    stage.world.tick(0, Loop::Notify).await;
    let filter = Filter {
        notice: Some(Notice::PaymentReturned),
        recipient: Some("ana@partners.example".to_owned()),
        ..Filter::default()
    };
    let mails = mails::list(&mut stage.world.app.store.read().await.unwrap(), &filter, 10).await.unwrap();
    let body = &mails.first().expect("ana is told by mail").body;
    assert!(body.contains(words.message) && body.contains(words.remedy), "{body}");
    // The payee enters another address: the rest is up to us.
    play(&mut stage, "change ana paypal ana2@example.com").await;
    let page = ana.read("/portal").await;
    assert!(!page.words().contains(words.remedy), "{}", page.words());
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn nothing_is_eligible_while_payouts_are_off() {
    let mut stage = Stage::open("told_off", 404).await;
    play(&mut stage, "partner ana paypal ana@example.com\nreward R1 ana 10.00 approved").await;
    let number = stage.number("R1").await.unwrap();
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let path = format!("/rewards/{number}/eligibility");
    let mut ana = Browser::of_partner(&stage.world, Role::Partner, "ana").await;
    assert_eq!(program.get(&path).await, json!({"eligible": true, "blockers": []}));
    ana.read("/portal").await.says("Request a payout");
    for (line, back, code) in [
        ("settings payouts off", "settings payouts on", Code::ModuleDisabled),
        ("safe-mode on", "safe-mode off", Code::SafeMode),
        ("brake on", "brake off", Code::BooksDoNotBalance),
    ] {
        play(&mut stage, line).await;
        let program = Program::of(&stage.world, Role::Admin, None).await;
        let answer = program.get(&path).await;
        assert_eq!(
            (&answer["eligible"], &answer["blockers"][0]["code"]),
            (&json!(false), &json!(code.as_str()))
        );
        let page = ana.read("/portal").await;
        page.says(partner_text::gate(Language::En, code).message);
        for no in ["Request a payout", "it can be in the next payout"] {
            assert!(!page.words().contains(no), "{no}: {}", page.words());
        }
        play(&mut stage, back).await;
    }
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn whoever_pays_what_was_changed_is_told_what_is_different() {
    let mut stage = Stage::open("told_changed", 405).await;
    play(
        &mut stage,
        "settings cooling-off 0
        partner ana paypal ana.1@example.com
        partner bo paypal bo@example.com
        reward R1 ana 10.00 approved
        reward R2 bo 20.00 approved
        reward R3 bo 20.00 approved
        batch B1 R1 R2",
    )
    .await;
    let number = stage.number("B1").await.unwrap();
    let shown = Program::of(&stage.world, Role::Admin, None).await.get(&format!("/batches/{number}")).await;
    let mut payer = Browser::of(&stage.world, Role::Admin, "payer").await;
    let form = payer.read(&format!("/claims/{number}/pay")).await;
    play(&mut stage, "take B1 R2\nadd B1 R3\nchange ana paypal ana.2@example.com").await;
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let seen = json!({"digest": shown["digest"], "totals": shown["totals"]});
    let (status, answer) =
        program.ask("POST", &format!("/batches/{}/pay", shown["id"].as_str().unwrap()), seen).await;
    assert_eq!((status, answer["code"].as_str()), (409, Some("batch_changed")), "{answer:#}");
    let difference = &answer["difference"];
    let numbers =
        |list: &Value| list.as_array().unwrap().iter().map(|it| it["number"].clone()).collect::<Vec<_>>();
    assert_eq!(
        numbers(&difference["rewards_added"]),
        [json!(stage.number("R3").await.unwrap())],
        "{difference:#}"
    );
    assert_eq!(numbers(&difference["rewards_removed"]), [json!(stage.number("R2").await.unwrap())]);
    assert_eq!((&difference["totals"], &difference["payees"]), (&json!([]), &json!([])));
    let moved = &difference["destinations"][0];
    assert_eq!(moved["payee"]["name"], "ana", "{moved:#}");
    assert_eq!(difference["forgotten"], false);
    // The page lists the changes, too.
    let (csrf, once, digest) = (form.hidden("csrf"), form.hidden("once"), form.hidden("digest"));
    let total = form.hidden("total");
    let fields = [
        ("csrf", csrf.as_str()),
        ("once", &once),
        ("digest", &digest),
        ("total", &total),
        ("checked", "yes"),
    ];
    let page = payer.post(&format!("/claims/{number}/pay"), &fields).await;
    assert_eq!(page.status, 409);
    page.says(&format!("{} of bo (20.00 USD) was added.", stage.number("R3").await.unwrap()));
    page.says(&format!("{} of bo (20.00 USD) was removed.", stage.number("R2").await.unwrap()));
    page.says("ana: the destination changed");
    // For a digest that was never shown, the response says so, and still lists the differences in the totals.
    let seen = json!({"digest": "sha256:0", "totals": [{"value": "31.00", "currency": "USD"}]});
    let (_, answer) =
        program.ask("POST", &format!("/batches/{}/pay", shown["id"].as_str().unwrap()), seen).await;
    assert_eq!(answer["difference"]["forgotten"], true, "{answer:#}");
    let usd = |value: &str| json!({"value": value, "currency": "USD"});
    assert_eq!(
        answer["difference"]["totals"],
        json!([{"currency": "USD", "was": usd("31.00"), "now": usd("30.00")}])
    );
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn the_timeline_holds_everything_and_names_nobody_to_partners() {
    let mut stage = Stage::open("told_timeline", 406).await;
    play(
        &mut stage,
        "partner ana stripe acct_ana
        partner bo paypal sim-unclaimed-bo@example.com
        reward R1 ana 10.00 approved
        reward R2 bo 20.00 approved
        batch B1 all
        pay B1
        live 2 days",
    )
    .await;
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let (ana, bo) = (stage.number("ana").await.unwrap(), stage.number("bo").await.unwrap());
    let timeline = |payment: &Value| payment["timeline"].as_array().unwrap().clone();
    let rows = timeline(&program.get(&format!("/transactions/{ana}")).await);
    let mut kinds: Vec<&str> = rows.iter().map(|row| row["source"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds, ["answer", "notice", "person", "poll", "request", "webhook"], "{rows:#?}");
    // A state change names the right event: that of the bank payout, not of the transfer before it.
    let mut pages = Browser::of(&stage.world, Role::Admin, "auditor").await;
    pages.read("/events").await.says("payout.paid");
    let event_ids: Vec<&str> = rows
        .iter()
        .filter(|row| row["source"] == "webhook" && row["effect"] == "payout_paid")
        .map(|row| row["event_id"].as_str().unwrap())
        .collect();
    let delivered = stage.world.received();
    let of_payout = delivered.iter().find(|delivery| delivery.event_type == "payout.paid").unwrap();
    assert_eq!(event_ids, [of_payout.event_id.as_str()], "told once, by the vendor's own id of that event");
    // Polls without news are one row with a count.
    let rows = timeline(&program.get(&format!("/transactions/{bo}")).await);
    let polls: Vec<&Value> = rows.iter().filter(|row| row["effect"] == "asked").collect();
    assert!(!polls.is_empty() && polls.len() < 10, "{polls:#?}");
    assert!(
        polls.iter().any(|row| row["detail"].as_str().unwrap().contains(" times, last at ")),
        "{polls:#?}"
    );
    // Partners see what was done, but not which of our staff did it.
    let program = Program::of(&stage.world, Role::Partner, Some("ana")).await;
    let own = program.get(&format!("/transactions/{ana}")).await;
    assert_eq!(own["choices"], json!([]));
    let pressed = timeline(&own).into_iter().find(|row| row["effect"] == "pay_pressed").unwrap();
    assert_eq!(pressed["detail"], Value::Null);
    stage.close(Ok(())).await;
}

/// Events are reported in sentences, with the statuses users know, and each once.
#[tokio::test]
async fn the_timeline_speaks_in_sentences_and_says_each_thing_once() {
    let mut stage = Stage::open("told_sentences", 416).await;
    play(
        &mut stage,
        "partner ana stripe acct_sim_closed_ana
        partner bo paypal sim-unclaimed-bo@example.com
        reward R1 ana 10.00 approved
        reward R2 bo 20.00 approved
        batch B1 all
        pay B1
        live 2 days
        parked ana written_off
        parked ana written_off by other",
    )
    .await;
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "reader").await;
    for name in ["ana", "bo"] {
        let number = stage.number(name).await.unwrap();
        let payment = program.get(&format!("/transactions/{number}")).await;
        let rows = payment["timeline"].as_array().unwrap();
        for row in rows {
            let message = row["message"].as_str().unwrap();
            assert!(message.contains(' ') && !message.contains('_'), "{row:#}");
            let detail = row["detail"].as_str().unwrap_or_default();
            let state = detail.rsplit_once("the payment is ").map_or("", |(_, state)| state);
            assert!(
                !state.contains('_') && !state.starts_with(|letter: char| letter.is_lowercase()),
                "{row:#}"
            );
        }
        let page = plain(&browser.read(&format!("/transactions/{number}")).await.words());
        assert!(!page.contains("the payment is in_transit") && !page.contains("Item unclaimed"), "{page}");
        if name == "ana" {
            let settled = "The money in the payee's Stripe balance was settled by two people";
            assert_eq!(page.matches(settled).count(), 1, "{page}");
            assert_eq!(rows.iter().filter(|row| row["effect"] == "parked_money_settled").count(), 1);
        } else {
            assert!(page.contains("The receiver has not claimed the money yet"), "{page}");
        }
    }
    stage.close(Ok(())).await;
}

/// The problem comes before the books, which may be wrong; and users see what the vendor said.
#[tokio::test]
async fn a_contradicted_payment_says_first_what_is_wrong() {
    let mut stage = Stage::open("told_contradicted", 417).await;
    play(
        &mut stage,
        "partner bo stripe acct_bo
        reward R1 bo 50.00 approved
        batch B1 all
        pay B1
        live 10 seconds
        reverse bo
        live 1 minute",
    )
    .await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "reader").await;
    let number = stage.number("bo").await.unwrap();
    let page = plain(&browser.read(&format!("/transactions/{number}")).await.words());
    let wrong = page.find("Stripe says something different from what is recorded here.").unwrap();
    assert!(wrong < page.find("What is recorded here:").unwrap(), "{page}");
    assert!(page.contains("that the transfer was reversed"), "{page}");
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn a_payment_to_a_company_is_told_to_those_with_a_reward_in_it() {
    let mut stage = Stage::open("told_company", 407).await;
    play(
        &mut stage,
        "account acme paypal pay@acme.example
        partner ana of acme
        partner bo of acme
        reward R1 ana 10.00 approved organization
        batch B1 R1
        pay B1
        live 10 minutes
        tick notify",
    )
    .await;
    let filter = Filter { notice: Some(Notice::PaymentPaid), ..Filter::default() };
    let mails = mails::list(&mut stage.world.app.store.read().await.unwrap(), &filter, 50).await.unwrap();
    let recipients: Vec<&str> = mails.iter().map(|mail| mail.recipient.as_str()).collect();
    assert!(
        recipients.contains(&"ana@partners.example") && !recipients.contains(&"bo@partners.example"),
        "{recipients:?}"
    );
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn a_change_of_the_destination_is_told_as_it_was() {
    let mut stage = Stage::open("told_profile", 408).await;
    play(
        &mut stage,
        "partner ana paypal ana.1@pay.example
        change ana paypal ana.2@pay.example
        tick notify",
    )
    .await;
    let filter = Filter { notice: Some(Notice::ProfileChanged), ..Filter::default() };
    let mails = mails::list(&mut stage.world.app.store.read().await.unwrap(), &filter, 50).await.unwrap();
    let hers =
        mails.iter().find(|mail| mail.recipient == "ana.2@pay.example").expect("the new address is told");
    assert!(
        hers.body.contains("ana.1@pay.example") && hers.body.contains("ana.2@pay.example"),
        "{}",
        hers.body
    );
    assert!(hers.body.contains("Your partner program team changed it."), "{}", hers.body);
    assert!(!hers.body.contains(&stage.world.actor.name), "{}", hers.body);
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn history_tells_amounts_as_money_and_a_reward_approved_twice_is_told_once() {
    let mut stage = Stage::open("told_twice", 410).await;
    play(&mut stage, "partner ana paypal ana@example.com\nreward R1 ana 25.00 approved").await;
    let number = stage.number("R1").await.unwrap();
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let edit = json!({"value": {"value": "26.00", "currency": "USD"}});
    assert_eq!(program.ask("PATCH", &format!("/rewards/{number}"), edit).await.0, 200);
    play(&mut stage, "approve R1\nlater 2 hours\ntick notify").await;
    let mut browser = Browser::of(&stage.world, Role::Admin, "reader").await;
    browser.read(&format!("/rewards/{number}")).await.says("value: 25.00 USD → 26.00 USD");
    let filter = Filter { notice: Some(Notice::RewardApproved), ..Filter::default() };
    let mails = mails::list(&mut stage.world.app.store.read().await.unwrap(), &filter, 50).await.unwrap();
    let titles: Vec<&str> = mails.iter().map(|mail| mail.title.as_str()).collect();
    assert_eq!(titles, [format!("Your reward {number} was approved")]);
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn names_dates_and_countries_are_what_they_say() {
    let mut stage = Stage::open("told_names", 411).await;
    play(&mut stage, "partner ana paypal ana@example.com").await;
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let put = async |body: Value| program.ask("PUT", "/partners/ana", body).await;
    for (body, code) in [
        (json!({"name": "Ana\u{202e}"}), "invalid"),
        (json!({"country": "UK"}), "invalid_country"),
        (json!({"country": "ZZ"}), "invalid_country"),
        (json!({"email": "ana@partner..example"}), "invalid_email"),
    ] {
        let (status, answer) = put(body.clone()).await;
        assert_eq!((status, answer["code"].as_str()), (422, Some(code)), "{body} {answer:#}");
    }
    for body in [json!({"name": "דנה"}), json!({"country": "GB"}), json!({"email": "ana@bücher.example"})]
    {
        assert_eq!(put(body).await.0, 200);
    }
    play(&mut stage, "reward R1 ana 10.00 approved\nbatch B1 R1\npay B1\nlive 10 minutes\ntick notify").await;
    let filter = Filter { notice: Some(Notice::PaymentPaid), ..Filter::default() };
    let mails = mails::list(&mut stage.world.app.store.read().await.unwrap(), &filter, 10).await.unwrap();
    let hers = mails.iter().find(|mail| mail.recipient == "ana@xn--bcher-kva.example");
    let hers = hers.expect("an international domain is mailed under its name in ASCII");
    assert!(hers.body.contains("\u{2068}דנה\u{2069}"), "{}", hers.body);
    let number = stage.number("ana").await.unwrap();
    let mut browser = Browser::of(&stage.world, Role::Admin, "reader").await;
    let page = browser.read(&format!("/transactions/{number}")).await;
    assert!(page.body.contains("to <bdi>דנה</bdi> through"), "{}", page.body);
    let program = Program::of(&stage.world, Role::Admin, None).await;
    let reward = stage.number("R1").await.unwrap();
    let activity = program.get(&format!("/rewards/{reward}")).await["activity"].clone();
    let never = json!({"external_id": "N1", "activity": activity, "owner": "ana", "expires_on": "9999-12-31",
        "value": {"value": "1.00", "currency": "USD"}});
    let (status, answer) = program.ask("POST", "/rewards", never.clone()).await;
    assert_eq!((status, &answer["expires_at"]), (201, &Value::Null), "{answer:#}");
    let mut far = never;
    (far["external_id"], far["expires_on"]) = (json!("N2"), json!("2206-01-01"));
    let (status, answer) = program.ask("POST", "/rewards", far).await;
    assert_eq!(status, 422);
    assert!(answer["detail"].as_str().unwrap().contains("between 2000 and 2199"), "{answer:#}");
    stage.close(Ok(())).await;
}

/// An external ID that starts like one of our numbers refers to its own record.
#[tokio::test]
async fn why_asks_about_what_a_name_is_and_not_how_it_begins() {
    let mut stage = Stage::open("told_names", 410).await;
    play(
        &mut stage,
        "partner batman paypal batman@example.com
        partner RW-team paypal team@example.com
        partner ptxenia paypal sim-closed-ptx@example.com
        reward R1 batman 10.00 approved
        reward R2 ptxenia 20.00 approved",
    )
    .await;
    let now = stage.world.now();
    let mut db = stage.world.app.store.read().await.unwrap();
    for name in ["batman", "RW-team", "ptxenia", "  batman ", "bat\u{200b}man"] {
        let found = why::find(&mut db, name, now).await.unwrap();
        assert!(found.blockers.is_empty() && found.payment.is_none(), "{name}: {found:?}");
    }
    let own =
        bursar::store::rewards::find(&mut db, &stage.number("R1").await.unwrap()).await.unwrap().unwrap();
    let by_own_id = why::find(&mut db, &own.entered.external_id, now).await;
    assert!(by_own_id.is_ok(), "{by_own_id:?}");
    drop(db);
    stage.close(Ok(())).await;
}

/// A reward in a payment that ended badly has someone who must act, a gate is listed once, and Resubmit names what would
/// refuse it.
#[tokio::test]
async fn why_names_the_gate_that_would_refuse_to_resubmit_and_says_each_thing_once() {
    let mut stage = Stage::open("told_closed", 411).await;
    play(
        &mut stage,
        "partner ana paypal sim-unclaimed-ana@example.com
        partner bo stripe acct_sim_slow_bo
        reward R1 ana 10.00 approved
        reward R2 bo 20.00 approved
        reward R3 ana 30.00 approved
        batch B1 R1 R2
        pay B1
        live 10 minutes
        change ana paypal right@example.com
        cancel ana
        live 10 seconds",
    )
    .await;
    let said = async |name: &str| {
        let number = stage.number(name).await.unwrap();
        let mut db = stage.world.app.store.read().await.unwrap();
        lines(&why::find(&mut db, &number, stage.world.now()).await.unwrap()).join("\n")
    };
    let of_reward = said("R1").await;
    // The partner has entered another address since: the rest is up to the payer.
    assert!(of_reward.contains("The payer must act. Open that payment"), "{of_reward}");
    let first = of_reward.lines().take(2).collect::<Vec<_>>().join(" ");
    assert!(!first.contains("Nobody needs to act"), "{of_reward}");
    let of_payment = said("ana").await;
    let refused = of_payment.split("Resubmit would be refused now:").nth(1).unwrap();
    assert!(refused.contains("[destination_changed, "), "{of_payment}");
    let number = stage.number("ana").await.unwrap();
    let mut browser = Browser::of(&stage.world, Role::Admin, "reader").await;
    let page = plain(&browser.read(&format!("/transactions/{number}")).await.words());
    // A gate that only a person can open is shown before a disabled button.
    assert!(page.contains("Resubmit Not possible now:"), "{page}");
    assert!(page.contains(Code::DestinationChanged.message()), "{page}");
    // The bank payout waits for funds: shown once, with a readable time.
    let waits = said("bo").await;
    assert_eq!(waits.matches(Code::WaitingForFunds.message()).count(), 1, "{waits}");
    assert!(waits.contains("It has been there since ") && waits.contains(" UTC."), "{waits}");
    assert!(!waits.contains("T0") && !waits.contains("Z."), "{waits}");
    stage.close(Ok(())).await;
}

/// Several failed payments are resubmitted at once, and each has its own result.
#[tokio::test]
async fn several_payments_are_sent_again_at_once_and_each_is_answered() {
    let mut stage = Stage::open("told_many", 412).await;
    play(
        &mut stage,
        "partner ana paypal sim-limit-ana@example.com
        partner bo stripe acct_sim_closed_bo
        partner cy stripe acct_cy
        reward R1 ana 10.00 approved
        reward R2 bo 20.00 approved
        reward R3 cy 30.00 approved
        batch B1 all
        pay B1
        live 2 days",
    )
    .await;
    let mut numbers = Vec::new();
    for name in ["ana", "bo", "cy"] {
        numbers.push(stage.number(name).await.unwrap());
    }
    let [ana, bo, cy] = numbers.as_slice() else { panic!("{numbers:?}") };
    let (here, list) = ("/dashboard/transactions/decide", "/dashboard/transactions?vendor=stripe");
    let mut reader = Browser::of(&stage.world, Role::Auditor, "reader").await;
    let page = reader.read("/dashboard/transactions").await;
    assert!(!page.body.contains("name=\"id\""), "who does not pay ticks nothing");
    let mut payer = Browser::of(&stage.world, Role::Payer, "payer").await;
    let page = payer.read("/dashboard/transactions").await;
    for (number, ticks) in [(ana, true), (bo, true), (cy, false)] {
        assert_eq!(page.body.contains(&format!("aria-label=\"Select {number}\"")), ticks, "{number}");
    }
    let csrf = page.body.split("name=\"csrf\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let pressed = |action| [("csrf", csrf), ("action", action), ("back", "vendor=stripe")];
    let nothing = payer.post(here, &pressed("resubmit")).await;
    assert_eq!((nothing.status.as_u16(), nothing.to.as_str()), (303, list));
    let ids = numbers.iter().map(|number| ("id", number.as_str()));
    let all: Vec<(&str, &str)> = pressed("resubmit").into_iter().chain(ids).collect();
    // The first request only previews payees and amounts, and does nothing.
    let asked = payer.post(here, &all).await;
    asked.says("Resubmit these payments? Nothing has been done yet.");
    asked.says("Resubmit 2 payments, 30.00 USD");
    asked.says("Left out");
    assert!(
        !asked.body.contains(&format!("name=\"id\" value=\"{cy}\"")),
        "what would be refused is left out"
    );
    let all: Vec<(&str, &str)> = all.into_iter().chain([("checked", "yes")]).collect();
    let done = payer.post(here, &all).await;
    assert_eq!(done.status.as_u16(), 200);
    done.says("1 of 3 payments sent again.");
    done.says(&format!("{ana} Done {ana} is sent again with a new idempotency key."));
    done.says(&format!("{bo} Not done"));
    done.says("add a bank account in this currency at Stripe, where this payment&#39;s money is");
    done.says(&format!("{cy} Not done"));
    assert!(done.body.contains(list), "{}", done.body);
    payer.post(here, &all).await.says("0 of 3 payments sent again.");
    stage.close(Ok(())).await;
}

/// A reward in a draft does not suggest removal; it names its payout and who must continue with it.
#[tokio::test]
async fn a_reward_in_a_draft_says_which_payout_it_waits_for() {
    let mut stage = Stage::open("told_draft", 412).await;
    play(&mut stage, "partner ana paypal ana@example.com\nreward R1 ana 10.00 approved\nbatch B1 R1").await;
    let (reward, batch) = (stage.number("R1").await.unwrap(), stage.number("B1").await.unwrap());
    let mut browser = Browser::of(&stage.world, Role::Admin, "reader").await;
    let page = plain(&browser.read(&format!("/rewards/{reward}")).await.words());
    assert!(page.contains(&format!("It is in {batch}, which waits for a payer to press Pay.")), "{page}");
    assert!(page.contains("Can this be paid? In a payout"), "{page}");
    stage.one("settings two-person on").await.unwrap();
    let page = plain(&browser.read(&format!("/rewards/{reward}")).await.words());
    assert!(page.contains("its release has not been requested. The preparer must act."), "{page}");
    stage.close(Ok(())).await;
}

/// Partners read our sentences in their own language, with only the vendor's own term quoted.
#[tokio::test]
async fn the_vendors_word_is_quoted_once_after_a_sentence_in_the_readers_language() {
    let mut stage = Stage::open("told_quoted", 413).await;
    play(&mut stage, MANY_ENDS).await;
    let number = stage.number("ana").await.unwrap();
    let mut browser = Browser::of_partner(&stage.world, Role::Partner, "ana").await;
    for (language, sentence) in [
        ("en", "How it stands there, in the words of PayPal: UNCLAIMED"),
        ("de", "Der Stand dort, in den Worten von PayPal: UNCLAIMED"),
        ("fr", "L’état là-bas, dans les termes de PayPal : UNCLAIMED"),
        ("es", "Su estado allí, en palabras de PayPal: UNCLAIMED"),
        ("ja", "PayPal での状況（先方の表記）： UNCLAIMED"),
    ] {
        let csrf = browser.read("/portal").await.hidden("csrf");
        browser.post_on("/portal/language", &[("csrf", &csrf), ("language", language)]).await;
        let page = plain(&browser.read(&format!("/portal/payouts/{number}")).await.words());
        assert!(page.contains(sentence), "{language}: {page}");
        assert!(!page.contains("PayPal says") && !page.contains("It said"), "{language}: {page}");
    }
    stage.close(Ok(())).await;
}

#[tokio::test]
async fn nobody_is_no_payment() {
    let stage = Stage::open("told_nobody", 409).await;
    let mut db = stage.world.app.store.read().await.unwrap();
    for name in ["PT-000001", "RW-000001", "nobody"] {
        let found = why::find(&mut db, name, stage.world.now()).await;
        assert!(matches!(found, Err(OpsError::Missing)), "{name}");
    }
    drop(db);
    stage.close(Ok(())).await;
}
