//! How partners set their payout destination: Stripe's onboarding and the return from it, a PayPal address and its
//! confirmation, the password before a change, and who may do it.

use axum::body::Body;
use axum::http::{Request, StatusCode, header};
use bursar::ops::settings::Document;
use payout::access::Role;
use sqlx::{AnyConnection, AssertSqlSafe, Connection as _, Executor as _, SqlSafeStr as _};
use tower::ServiceExt as _;

use crate::pages::{Browser, PASSWORD, seed_data};
use crate::world::{SECOND, World};

const MINUTE: i64 = 60 * SECOND;

/// The response of the vendor's pages: the status, and the redirect target.
pub(super) async fn at_vendor(world: &World, url: &str, action: Option<&str>) -> (StatusCode, String) {
    let path = format!("/_sim/{}", url.split("/_sim/").nth(1).unwrap());
    let request = match action {
        None => Request::get(&path).body(Body::empty()),
        Some(action) => Request::post(&path).body(Body::from(format!("action={action}"))),
    };
    let answer = world.simulator.router().oneshot(request.unwrap()).await.unwrap();
    let to = answer.headers().get(header::LOCATION).map_or("", |to| to.to_str().unwrap());
    (answer.status(), to.strip_prefix(&world.app.base_url).unwrap_or(to).to_owned())
}

/// Presses the button to Stripe; returns the URL it leads to.
async fn set_out(browser: &mut Browser, whose: &str) -> String {
    let address = format!("/portal/profile/{whose}");
    let csrf = browser.read(&address).await.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("country", "de")];
    let away = browser.post(&format!("{address}/stripe"), &fields).await;
    assert!(away.to.contains("/_sim/onboard/"), "{} {}", away.to, away.body);
    away.to
}

/// Goes to Stripe's pages and leaves them; returns the return URL.
async fn there_and_back(world: &World, browser: &mut Browser, whose: &str, action: &str) -> String {
    let url = set_out(browser, whose).await;
    assert_eq!(at_vendor(world, &url, None).await.0, StatusCode::OK);
    at_vendor(world, &url, Some(action)).await.1
}

/// The links in notices of this kind, oldest first.
async fn links(world: &World, notice: &str) -> Vec<String> {
    crate::people::secret_links(world, notice).await
}

/// Errors from verbs and vendors are English. Readers of other languages get an explanation in their own.
#[tokio::test]
async fn whoever_reads_german_reads_no_english() {
    let world = World::open("portal_german", 66).await;
    seed_data(&world).await;
    let mut cy = Browser::of_partner(&world, Role::Partner, "cy").await;
    let csrf = cy.read("/portal").await.hidden("csrf");
    cy.post_on("/portal/language", &[("csrf", &csrf), ("language", "de")]).await;
    let back = there_and_back(&world, &mut cy, "me", "leave").await;
    let half = cy.get(&back).await;
    let page = cy.read(&half.to).await;
    page.says("Bei Stripe fehlt noch etwas.");
    assert!(!page.body.contains("Stripe still needs"), "{}", page.body);
    let wrong = [("csrf", csrf.as_str()), ("paypal_email", "no address")];
    let page = cy.post("/portal/profile/me/paypal", &wrong).await;
    assert!(page.body.contains("Bitte prüfen Sie diese Angabe"), "{}", page.body);
    let wrong = [("csrf", csrf.as_str()), ("country", "Germany")];
    let page = cy.post_on("/portal/profile/me/stripe", &wrong).await;
    assert!(
        !page.body.contains("Write the country") && !page.body.contains("Stripe refused"),
        "{}",
        page.body
    );
    page.says("Bitte prüfen Sie diese Angabe");
    world.close().await;
}

#[tokio::test]
async fn nobody_is_sent_to_a_page_that_is_not_the_vendors() {
    let world = World::open("portal_elsewhere", 67).await;
    seed_data(&world).await;
    let mut cy = Browser::of_partner(&world, Role::Partner, "cy").await;
    let csrf = cy.read("/portal/profile/me").await.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("country", "de")];
    world.simulator.lead_to("https://stripe.com.evil.example");
    let stayed = cy.post("/portal/profile/me/stripe", &fields).await;
    assert_eq!(stayed.to, "/portal/profile/me");
    cy.read(&stayed.to)
        .await
        .says("not one of Stripe’s, so you were not sent there. Where you are paid has not changed");
    world.chain().await;
    let mut database = crate::nodes::beside(&world).await;
    let noted = "SELECT detail FROM audit WHERE action = 'stripe_link_refused'";
    assert_eq!(crate::nodes::text(&mut database, noted).await, "{\"host\":\"stripe.com.evil.example\"}");
    // Once Stripe is reachable again, they continue where they were.
    world.simulator.lead_to(world.app.config.stripe_api_base.as_deref().unwrap());
    assert!(cy.post("/portal/profile/me/stripe", &fields).await.to.contains("/_sim/onboard/"));
    world.close().await;
}

#[tokio::test]
async fn stripe_is_set_up_on_its_own_pages_and_believed_only_when_asked() {
    let world = World::open("portal_stripe", 65).await;
    seed_data(&world).await;
    let mut cy = Browser::of_partner(&world, Role::Partner, "cy").await;
    cy.read("/portal/profile").await.says("Individual Cy Ray Not set up yet.");

    // Leaving halfway changes nothing, whatever URL the browser returns to.
    let back = there_and_back(&world, &mut cy, "me", "leave").await;
    assert!(back.starts_with("/portal/profile/me/stripe/return?state="), "{back}");
    let half = cy.get(&back).await;
    let page = cy.read(&half.to).await;
    page.says("Something is still missing at Stripe. You can continue where you stopped.");
    page.says("Stripe still needs: a bank account or debit card, a document that proves who it is");
    page.says("Not set up yet.");
    cy.read("/portal").await.says("You have not chosen how to be paid yet.");

    // The return URL works once, for this session and this payee, and for a limited time.
    let message = "This way back from Stripe was used already, is too old or is not yours.";
    let mut bo = Browser::of_partner(&world, Role::Partner, "bo").await;
    let again = cy.get(&back).await;
    cy.read(&again.to).await.says(message);
    let back = there_and_back(&world, &mut cy, "me", "finish").await;
    for strange in [back.clone(), "/portal/profile/me/stripe/return?state=made-up".to_owned()] {
        let strange = bo.get(&strange).await;
        bo.read(&strange.to).await.says(message);
    }
    let mut elsewhere = Browser::new(&world);
    let fields = [("email", "cy-partner@example.com"), ("password", PASSWORD), ("next", "/portal")];
    elsewhere.post_on("/login", &fields).await;
    let strange = elsewhere.get(&back).await;
    elsewhere.read(&strange.to).await.says(message);

    let done = cy.get(&back).await;
    let page = cy.read(&done.to).await;
    page.says("Stripe says that your account is ready. You are paid to it from now on.");
    page.says("Through Stripe To acct_…");
    page.says("Ready to be paid");

    // Two onboardings, one account; a used link redirects to us for a fresh one, once.
    let listed = Request::get("/v1/accounts?limit=100").header("authorization", "Bearer sk_test_sim");
    let answer = world.simulator.router().oneshot(listed.body(Body::empty()).unwrap()).await.unwrap();
    let text = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
    let made: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(made["data"].as_array().unwrap().len(), 1, "{made}");
    let account = &made["data"][0];
    assert_eq!(account["country"], "DE");
    assert_eq!(account["settings"]["payouts"]["schedule"]["interval"], "manual");
    let url = set_out(&mut cy, "me").await;
    assert_eq!(at_vendor(&world, &url, None).await.0, StatusCode::OK);
    let (_, refresh) = at_vendor(&world, &url, None).await;
    assert!(refresh.starts_with("/portal/profile/me/stripe/again?state="), "{refresh}");
    let fresh = cy.get(&refresh).await;
    assert!(fresh.to.contains("/_sim/onboard/") && fresh.to != url);
    assert_eq!(cy.get(&refresh).await.to, "/portal/profile/me");

    let late = there_and_back(&world, &mut cy, "me", "finish").await;
    for _ in 0..6 {
        world.pass(50 * MINUTE);
        crate::people::sessions::used(&world, &mut cy, "/portal").await;
    }
    let late = cy.get(&late).await;
    cy.read(&late.to).await.says(message);
    world.close().await;
}

#[tokio::test]
async fn an_account_whose_answer_was_lost_is_found_after_stripe_forgot_the_key() {
    let world = World::open("portal_stripe_lost", 68).await;
    seed_data(&world).await;
    let mut cy = Browser::of_partner(&world, Role::Partner, "cy").await;
    set_out(&mut cy, "me").await;
    // As if the response had been lost, and the partner came back a day later.
    let mut database = AnyConnection::connect(&world.app.config.database_url).await.unwrap();
    let lost = "UPDATE connected_account SET account = NULL, made_at = NULL";
    database.execute(AssertSqlSafe(lost.to_owned()).into_sql_str()).await.unwrap();
    world.pass(25 * 60 * MINUTE);
    let mut cy = Browser::new(&world);
    let fields = [("email", "cy-partner@example.com"), ("password", PASSWORD), ("next", "/portal")];
    cy.post_on("/login", &fields).await;
    set_out(&mut cy, "me").await;
    let listed = Request::get("/v1/accounts?limit=100").header("authorization", "Bearer sk_test_sim");
    let answer = world.simulator.router().oneshot(listed.body(Body::empty()).unwrap()).await.unwrap();
    let text = axum::body::to_bytes(answer.into_body(), 1 << 24).await.unwrap();
    let made: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(made["data"].as_array().unwrap().len(), 1, "{made}");
    world.close().await;
}

#[tokio::test]
async fn a_paypal_address_counts_when_its_mails_are_read() {
    let world = World::open("portal_paypal", 66).await;
    seed_data(&world).await;
    let mut cy = Browser::of_partner(&world, Role::Partner, "cy").await;
    let path = "/portal/profile/me/paypal";
    let csrf = cy.read("/portal/profile/me").await.hidden("csrf");
    let sent = |email: &'static str| [("csrf", csrf.clone()), ("paypal_email", email.to_owned())];
    for bad in ["cy", "Cy <cy@example.com>", "a@b.de,c@d.de", "cy@example.com\r\nBcc: x@y.de"] {
        let fields = sent(bad);
        let page = cy.post(path, &fields.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
        assert_eq!(page.status, StatusCode::OK);
        assert!(page.body.contains("aria-invalid=\"true\""), "{bad:?}");
    }
    assert!(links(&world, "payout_profile_confirm").await.is_empty());
    for _ in 0..2 {
        let fields = sent("Cy@Example.com");
        let told = cy.post_on(path, &fields.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
        told.says("We have written to c…@example.com.");
        told.says("c…@example.com is not confirmed yet.");
        told.says("Not set up yet.");
        world.pass(SECOND);
    }
    let links_sent = links(&world, "payout_profile_confirm").await;
    let mut mailbox = Browser::new(&world);
    assert_eq!(mailbox.get(&links_sent[0]).await.status, StatusCode::GONE, "the newer ends the older");
    for _ in 0..2 {
        mailbox.read(&links_sent[1]).await.says("From now on Cy Ray is paid to cy@example.com.");
    }
    let done = mailbox.post(&links_sent[1], &[]).await;
    done.says("Thank you. The address is confirmed.");
    assert_eq!(mailbox.post(&links_sent[1], &[]).await.status, StatusCode::GONE);
    let page = cy.read("/portal/profile/me").await;
    page.says("Through PayPal To c…@example.com");
    assert!(!page.words().contains("Changed on"), "a first destination has no cooling-off");

    // Only the payee can change it, right after a step-up; then the cooling-off applies.
    world.pass(11 * MINUTE);
    let fields = sent("other@example.com");
    let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
    let asked = cy.post(path, &fields).await;
    let kept = "%2Fportal%2Fprofile%2Fme%3Fpaypal_email%3Dother%2540example.com";
    assert_eq!(asked.to, format!("/prove?next={kept}"));
    let back = cy.read("/portal/profile/me?paypal_email=other%40example.com").await;
    assert!(back.body.contains("value=\"other@example.com\""), "what was typed is there again");
    let prove = |password: &'static str| {
        [("csrf", csrf.clone()), ("password", password.to_owned()), ("next", "/portal/profile/me".to_owned())]
    };
    let wrong = prove("not the password");
    let wrong = cy.post_on("/prove", &wrong.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    wrong.says("This is not your current password.");
    assert_eq!(cy.post(path, &fields).await.to, format!("/prove?next={kept}"));
    let right = prove(PASSWORD);
    cy.post_on("/prove", &right.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    cy.post_on(path, &fields).await.says("Through PayPal To c…@example.com");
    let newest = links(&world, "payout_profile_confirm").await.pop().unwrap();
    mailbox.post(&newest, &[]).await.says("Thank you.");
    let page = cy.read("/portal/profile/me").await;
    page.says("To o…@example.com");
    page.says("Changed on 2026-03-02. For your safety nothing is sent there before 2026-03-05");
    cy.read("/portal").await.says("was changed recently");

    // A link is valid for a day.
    let fields = sent("third@example.com");
    cy.post_on(path, &fields.each_ref().map(|(name, value)| (*name, value.as_str()))).await;
    let newest = links(&world, "payout_profile_confirm").await.pop().unwrap();
    world.pass(24 * 60 * MINUTE);
    assert_eq!(mailbox.post(&newest, &[]).await.status, StatusCode::GONE);
    world.close().await;
}

#[tokio::test]
async fn who_may_say_where_the_money_goes() {
    let world = World::open("portal_roles", 67).await;
    seed_data(&world).await;
    world.set(|it| Document { profile_roles: vec!["partner_admin".to_owned()], ..it }).await;
    let mut cy = Browser::of_partner(&world, Role::Partner, "cy").await;
    let page = cy.read("/portal/profile/me").await;
    page.says("With your role you cannot set this up. Nobody looks after your company here yet");
    let csrf = page.hidden("csrf");
    let fields = [("csrf", csrf.as_str()), ("paypal_email", "cy@example.com")];
    let refused = cy.post_on("/portal/profile/me/paypal", &fields).await;
    refused.says("You cannot choose PayPal right now. Nothing was changed.");
    let fields = [("csrf", csrf.as_str()), ("country", "US")];
    let refused = cy.post_on("/portal/profile/me/stripe", &fields).await;
    refused.says("You cannot choose Stripe right now. Nothing was changed.");

    let mut boss = Browser::of(&world, Role::PartnerAdmin, "boss").await;
    let page = cy.read("/portal/profile").await;
    page.says("Some rewards are paid to your company as a whole. Ask boss.");
    boss.read("/portal/profile").await.says("Organization Acme &#38; Sons Not set up yet.");
    let back = there_and_back(&world, &mut boss, "company", "finish").await;
    let done = boss.get(&back).await;
    boss.read(&done.to).await.says("You are paid to it from now on.");

    // Company pages return 404 for anyone who does not administer the company.
    for address in ["company", "ptn_1", "..%2Fme"] {
        let path = format!("/portal/profile/{address}");
        assert_eq!(cy.get(&path).await.status, StatusCode::NOT_FOUND, "{path}");
        for (deed, name) in [("paypal", "paypal_email"), ("stripe", "country")] {
            let fields = [("csrf", csrf.as_str()), (name, "x")];
            assert_eq!(cy.post(&format!("{path}/{deed}"), &fields).await.status, StatusCode::NOT_FOUND);
        }
        for way in ["again", "return"] {
            assert_eq!(cy.get(&format!("{path}/stripe/{way}?state=x")).await.status, StatusCode::NOT_FOUND);
        }
    }
    world.set(|it| Document { enabled: false, ..it }).await;
    boss.read("/portal/profile/me").await.says("Payouts are switched off at the moment");
    world.close().await;
}

#[tokio::test]
async fn a_tax_report_is_found_by_questions_and_filed_with_its_certification() {
    let world = World::open("portal_tax", 69).await;
    seed_data(&world).await;
    world.set(|it| Document { us_tax_tracking: true, ..it }).await;
    let mut cy = Browser::of_partner(&world, Role::Partner, "cy").await;
    cy.read("/portal").await.says("Your tax form is missing.");
    assert_eq!(cy.get("/portal/tax").await.to, "/portal/tax/me");
    assert_eq!(cy.get("/portal/tax/company").await.status, StatusCode::NOT_FOUND);
    let page = cy.read("/portal/tax/me").await;
    page.says("Which form is yours?");
    let csrf = page.hidden("csrf");
    for (us, entity, form) in [("yes", "no", "W-9"), ("no", "no", "W-8BEN"), ("no", "yes", "W-8BEN-E")] {
        cy.read(&format!("/portal/tax/me?us={us}&entity={entity}")).await.says(&format!("Form {form}"));
    }
    let rows = [
        ("w8ben", "", "2026-03-01", "yes", "W-8"),
        ("w9", "000-12-3456", "2026-03-01", "yes", "begins with 000"),
        ("w9", "123-45-6789", "2026-03-09", "yes", "is in the future"),
        ("w9", "123-45-6789", "2026-03-01", "", "Confirm that the form is certified"),
    ];
    for (form, tin, signed_on, certified, message) in rows {
        let mut fields = vec![("csrf", csrf.as_str()), ("form", form), ("name", "Cy Ray")];
        fields.extend([("tin", tin), ("signed_on", signed_on)]);
        fields.extend((!certified.is_empty()).then_some(("certified", certified)));
        let page = cy.post("/portal/tax/me", &fields).await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.body);
        page.says(message);
        assert!(!page.body.contains("123-45"), "the number is not shown again");
    }
    let fields = [
        ("csrf", csrf.as_str()),
        ("form", "w9"),
        ("name", "Cy Ray"),
        ("tin", "123-45-6789"),
        ("signed_on", "2026-03-01"),
        ("certified", "yes"),
    ];
    let filed = cy.post_on("/portal/tax/me", &fields).await;
    filed.says("Your tax report is filed.");
    filed.says("W-9, signed on 2026-03-01");
    assert!(filed.body.contains("6789") && !filed.body.contains("12345"), "masked");
    assert!(!cy.read("/portal").await.words().contains("Your tax form is missing"));
    world.pass(11 * MINUTE);
    assert_eq!(cy.post("/portal/tax/me", &fields).await.to, "/prove?next=%2Fportal%2Ftax%2Fme");
    world.close().await;
}
