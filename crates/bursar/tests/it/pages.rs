//! The pages as a browser without JavaScript sees them: cookies, forms with their hidden fields, and redirects. Calls the
//! router directly. Not here: appearance and behavior with JavaScript (`browser`).

mod figures;
mod glance;
mod help;
mod home;
pub mod imports;
mod lists;
mod payees;
pub mod paying;
mod rewards;

use std::collections::BTreeMap;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode, header};
use bursar::ops::import;
use bursar::ops::people::{self, NewPerson};
use bursar::ops::rewards::{RewardSelection, Verdict, decide_many};
use bursar::work::connect;
use payout::access::Role;
use payout::payee::Destination;
use tower::ServiceExt as _;

use crate::world::World;

pub const PASSWORD: &str = "a long enough password";

/// A browser session of one person.
#[derive(Clone)]
pub struct Browser {
    router: Router,
    cookies: BTreeMap<String, String>,
}

/// The response to a request.
pub struct Page {
    pub status: StatusCode,
    /// The target of a redirect.
    pub to: String,
    pub body: String,
}

impl Page {
    /// The value of the first hidden field of this name.
    pub fn hidden(&self, name: &str) -> String {
        self.all_hidden(name).into_iter().next().unwrap_or_else(|| panic!("no {name} in\n{}", self.body))
    }

    /// The values of every field of this name.
    pub fn all_hidden(&self, name: &str) -> Vec<String> {
        let opening = format!("name=\"{name}\" value=\"");
        let parts = self.body.split(&opening).skip(1);
        parts.map(|rest| rest.split('"').next().unwrap().replace("&#38;", "&")).collect()
    }

    /// The text of the page, without markup.
    pub fn words(&self) -> String {
        let mut words = String::new();
        let mut inside = false;
        for letter in self.body.chars() {
            match letter {
                '<' => inside = true,
                '>' => {
                    inside = false;
                    words.push(' ');
                }
                _ if inside => {}
                letter if letter.is_whitespace() => words.push(' '),
                letter => words.push(letter),
            }
        }
        words.split(' ').filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    }

    pub fn says(&self, text: &str) {
        let words = self.words();
        assert!(words.contains(text), "does not say {text:?}:\n{words}");
    }
}

impl Browser {
    /// A browser without a signed-in user.
    pub fn new(world: &World) -> Self {
        Self { router: bursar::web::router(world.works[0].clone()), cookies: BTreeMap::new() }
    }

    /// The same, connected to another node.
    pub fn at(router: Router) -> Self {
        Self { router, cookies: BTreeMap::new() }
    }

    /// This browser with its cookies, connected to another node.
    pub fn on(&self, node: &bursar::app::App) -> Self {
        let work = bursar::work::Work::new(node.clone(), None).unwrap();
        Self { router: bursar::web::router(work), cookies: self.cookies.clone() }
    }

    /// A browser with a signed-in user of this role; partner roles are Ana's.
    pub async fn of(world: &World, role: Role, name: &str) -> Self {
        let partner = matches!(role, Role::Partner | Role::PartnerAdmin).then_some("ana");
        Self::signed_in(world, role, name, partner).await
    }

    /// A browser in which this partner is signed in.
    pub async fn of_partner(world: &World, role: Role, partner: &str) -> Self {
        Self::signed_in(world, role, &format!("{partner}-{}", role.as_str()), Some(partner)).await
    }

    async fn signed_in(world: &World, role: Role, name: &str, partner: Option<&str>) -> Self {
        let (email, partner) = (format!("{name}@example.com"), partner.map(str::to_owned));
        let new =
            NewPerson { email, name: name.to_owned(), role, partner, password: Some(PASSWORD.to_owned()) };
        let link = people::add(&world.app, &new).await.unwrap();
        let mut browser = Self::new(world);
        let path = link.strip_prefix(&world.app.base_url).unwrap().to_owned();
        let welcome = browser.post(&path, &[]).await;
        assert_eq!((welcome.status, welcome.to.as_str()), (StatusCode::SEE_OTHER, "/"));
        browser
    }

    async fn send(&mut self, request: Request<Body>) -> Page {
        let answer = self.router.clone().oneshot(request).await.unwrap();
        for cookie in answer.headers().get_all(header::SET_COOKIE) {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            match cookie.contains("Max-Age=0") {
                true => self.cookies.remove(name),
                false => self.cookies.insert(name.to_owned(), value.to_owned()),
            };
        }
        let status = answer.status();
        let to = answer.headers().get(header::LOCATION).map_or("", |to| to.to_str().unwrap()).to_owned();
        let body = String::from_utf8(to_bytes(answer.into_body(), 1 << 24).await.unwrap().to_vec()).unwrap();
        Page { status, to, body }
    }

    /// The value of the cookie with this name.
    pub fn kept(&self, name: &str) -> &str {
        let found = self.cookies.iter().find(|(known, _)| known.ends_with(name));
        found.map_or("", |(_, value)| value)
    }

    fn cookie(&self) -> String {
        let pairs = self.cookies.iter().map(|(name, value)| format!("{name}={value}"));
        pairs.collect::<Vec<_>>().join("; ")
    }

    /// Opens an event stream, optionally as a browser that reconnects.
    pub async fn open(&mut self, path: &str, last_event: Option<&str>) -> axum::response::Response {
        let mut request = Request::get(path).header(header::COOKIE, self.cookie());
        if let Some(last) = last_event {
            request = request.header("last-event-id", last);
        }
        self.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    /// Requests a page with GET.
    pub async fn get(&mut self, path: &str) -> Page {
        let request = Request::get(path).header(header::COOKIE, self.cookie());
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// Downloads a file, which need not be text.
    pub async fn bytes(&mut self, path: &str) -> (StatusCode, Vec<u8>) {
        let request = Request::get(path).header(header::COOKIE, self.cookie()).body(Body::empty()).unwrap();
        let answer = self.router.clone().oneshot(request).await.unwrap();
        let status = answer.status();
        (status, to_bytes(answer.into_body(), 1 << 24).await.unwrap().to_vec())
    }

    /// Requests a page that must exist.
    pub async fn read(&mut self, path: &str) -> Page {
        let page = self.get(path).await;
        assert_eq!(page.status, StatusCode::OK, "{path}\n{}{}", page.to, page.body);
        page
    }

    /// Posts a form with these fields.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        fields.iter().for_each(|(name, value)| {
            form.append_pair(name, value);
        });
        let request = Request::post(path)
            .header(header::COOKIE, self.cookie())
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(form.finish())).unwrap()).await
    }

    /// Posts a form with a file: its parts as `(name, file name, content)`, in order.
    pub async fn send_parts(&mut self, path: &str, parts: &[(&str, Option<&str>, &[u8])]) -> Page {
        let mut body = Vec::new();
        for (name, file, bytes) in parts {
            let file = file.map_or_else(String::new, |file| format!("; filename=\"{file}\""));
            body.extend(
                format!("--part\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n").as_bytes(),
            );
            body.extend(*bytes);
            body.extend(b"\r\n");
        }
        body.extend(b"--part--\r\n");
        let request = Request::post(path)
            .header(header::COOKIE, self.cookie())
            .header(header::CONTENT_LENGTH, body.len())
            .header(header::CONTENT_TYPE, "multipart/form-data; boundary=part");
        self.send(request.body(Body::from(body)).unwrap()).await
    }

    /// Posts a form and requests the page it redirects to.
    pub async fn post_on(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let sent = self.post(path, fields).await;
        assert_eq!(sent.status, StatusCode::SEE_OTHER, "{path}\n{}", sent.body);
        self.read(&sent.to).await
    }
}

/// Two payable partners, one who is not, and twelve rewards that wait for a decision.
pub async fn seed_data(world: &World) {
    let (app, actor) = (&world.app, &world.actor);
    let accounts = "external_id,name,country,owner_email\nA-1,Acme & Sons,US,owner@example.com\n";
    let partners = "external_id,account,name,email,country,language\nana,A-1,Ana Lima,ana@example.com,US,en\n\
                    bo,A-1,Bo <b> Ek,bo@example.com,US,en\ncy,A-1,Cy Ray,cy@example.com,US,en\n";
    let activities = "external_id,program,program_type,name,default_value,default_currency\n\
                      deal,Growth,cash,Closed deal,,\nquiz,Academy,points,Quiz,350,\n";
    let mut rewards = String::from("external_id,activity,owner,value,currency\n");
    for number in 1..=10 {
        let owner = ["ana", "bo", "cy"][number % 3];
        rewards += &format!("R-{number},deal,{owner},{number}00.50,USD\n");
    }
    rewards += "R-11,deal,ana,7500,JPY\nR-12,quiz,bo,,\n";
    let refused = |report: &import::Report| report.rejected.clone();
    let (report, _) = import::accounts(app, actor, accounts.as_bytes(), false, None).await.unwrap();
    assert_eq!(refused(&report), []);
    let (report, _) = import::partners(app, actor, partners.as_bytes(), false, None).await.unwrap();
    assert_eq!(refused(&report), []);
    let report = import::activities(app, actor, activities.as_bytes(), false, None).await.unwrap();
    assert_eq!(refused(&report), []);
    let report = import::rewards(app, actor, rewards.as_bytes(), false, None).await.unwrap();
    assert_eq!(refused(&report), []);
    for partner in ["ana", "bo"] {
        let payee = bursar::ops::payees::named(&mut app.store.read().await.unwrap(), partner).await.unwrap();
        let destination = Destination::paypal(&format!("{partner}@example.com")).unwrap();
        connect::set_profile(&world.works[0], actor, payee.unwrap(), destination).await.unwrap();
    }
}

/// Approves all twelve pending rewards.
pub async fn approve_all(world: &World) {
    let which = RewardSelection::All(Box::default(), 12);
    let done = decide_many(&world.app, &world.actor, &which, &Verdict::Approve, None).await.unwrap();
    assert_eq!(done.done.len(), 12);
}

#[tokio::test]
async fn signing_in_and_out() {
    let world = World::open("pages_sign_in", 1).await;
    let mut browser = Browser::new(&world);
    let wanted = browser.get("/rewards?view=all").await;
    assert_eq!(wanted.to, "/login?next=%2Frewards%3Fview%3Dall");
    let login = browser.read(&wanted.to).await;
    assert_eq!(login.hidden("next"), "/rewards?view=all");

    let mut known = Browser::of(&world, Role::Admin, "pat").await;
    known.read("/rewards").await.says("pat Administrator");
    let fields =
        |password| [("email", "pat@example.com"), ("password", password), ("next", "/rewards?view=all")];
    let wrong = browser.post_on("/login", &fields("not the password at all")).await;
    wrong.says("Wrong e-mail or password.");
    let right = browser.post("/login", &fields(PASSWORD)).await;
    assert_eq!(right.to, "/rewards?view=all");
    let page = browser.read(&right.to).await;
    let out = browser.post("/logout", &[("csrf", &page.hidden("csrf"))]).await;
    assert_eq!(out.to, "/login");
    assert_eq!(browser.get("/rewards").await.to, "/login?next=%2Frewards");
    world.close().await;
}

#[tokio::test]
async fn a_form_from_elsewhere_does_nothing() {
    let world = World::open("pages_csrf", 2).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    let mut other = Browser::of(&world, Role::Admin, "kim").await;
    let theirs = other.read("/rewards").await.hidden("csrf");
    let id = browser.read("/rewards").await.hidden("id");
    for word in [vec![], vec![("csrf", "made up")], vec![("csrf", theirs.as_str())]] {
        let fields = [word, vec![("action", "approve"), ("id", &id)]].concat();
        let refused = browser.post("/rewards/decide", &fields).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        refused.says("This form is not from your session, so nothing was done.");
    }
    browser.read("/rewards").await.says("12 rewards");
    world.close().await;
}

#[tokio::test]
async fn deciding_about_one_and_about_many() {
    let world = World::open("pages_decide", 3).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let list = browser.read("/rewards").await;
    list.says("Actions Number Owner Reward Type Value Program Reward Activity Status Created On");
    assert!(list.body.contains("Bo &#60;b&#62; Ek"), "what people are called is text, never markup");
    let csrf = list.hidden("csrf");
    let ids = list.all_hidden("id");
    assert_eq!(ids.len(), 12);

    let fields = [("csrf", csrf.as_str()), ("action", "reject"), ("id", &ids[0]), ("id", &ids[1])];
    let refused = browser.post("/rewards/decide", &fields).await;
    refused.says("Enter a reason to reject rewards");
    assert_eq!(refused.body.matches("name=\"id\"").count(), 12, "the list is there again");
    assert_eq!(refused.body.matches(" checked aria-label").count(), 2, "and what was ticked is ticked still");
    let some = [&fields[..], &[("reason", "sent twice"), ("shown", "yes")]].concat();
    browser.post_on("/rewards/decide", &some).await.says("2 rewards rejected.");
    let again = [("csrf", csrf.as_str()), ("action", "approve"), ("id", &ids[1]), ("id", &ids[2])];
    let told = browser.post_on("/rewards/decide", &again).await;
    told.says("1 reward approved. 1 was skipped:");
    told.says("it is no longer Submitted or In Review.");
    browser.read("/rewards").await.says("9 rewards");

    let page = browser.read("/rewards/RW-000005").await;
    page.says("Can this be paid? Not yet");
    page.says("The reward is not approved. An administrator must act. A program manager or an administrator approves it under Rewards.");
    let fields = [
        ("csrf", csrf.as_str()),
        ("version", &page.hidden("version")),
        ("next", "yes"),
        ("action", "approve"),
    ];
    let next = browser.post_on("/rewards/RW-000005/decide", &fields).await;
    next.says("RW-000005 is approved.");
    let stale = [("csrf", csrf.as_str()), ("version", "1"), ("action", "void"), ("reason", "x")];
    browser.post("/rewards/RW-000005/decide", &stale).await.says("RW-000005 has changed since you opened it");
    let rejected = browser.read("/rewards?view=rejected").await;
    rejected.says("2 rewards");
    browser.read("/rewards?view=not_eligible").await;
    browser.read("/rewards?view=all&currency=JPY&value_min=7500&owner=Ana").await.says("1 reward");
    browser.read("/rewards?view=all&owner=nobody").await.says("No partner has the id or the name “nobody”.");
    browser.read("/rewards?view=all&value_min=5").await.says("Name the currency beside a value");
    world.close().await;
}

#[tokio::test]
async fn preparing_changing_and_deleting_a_payout() {
    let world = World::open("pages_claims", 4).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    browser.read("/claims").await.says("Approve pending rewards");
    approve_all(&world).await;
    let page = browser.read("/claims").await;
    page.says("Rewards that can be added 8 rewards");
    page.says("The payee has not chosen how to be paid.");
    let (csrf, ids) = (page.hidden("csrf"), page.all_hidden("id"));
    let empty = browser.post_on("/claims/add", &[("csrf", &csrf)]).await;
    empty.says("Select at least one reward. Nothing was added.");
    let one = browser.post_on("/claims/add", &[("csrf", &csrf), ("id", &ids[0])]).await;
    one.says("PB-2026-0001 now holds 1 reward in 1 claim.");
    let all = browser.post_on("/claims/add", &[("csrf", &csrf), ("all", "yes")]).await;
    all.says("PB-2026-0001 now holds 8 rewards in 3 claims.");
    let claim =
        all.body.split("name=\"claim\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let path = "/claims/PB-2026-0001";
    let less = browser.post_on(&format!("{path}/remove"), &[("csrf", &csrf), ("claim", &claim)]).await;
    less.says("back in the pool.");
    less.says("2 claims for");
    browser.read(&format!("{path}/delete")).await.says("Delete Payout PB-2026-0001?");
    let gone = browser.post_on(&format!("{path}/delete"), &[("csrf", &csrf)]).await;
    gone.says("PB-2026-0001 is deleted;");
    gone.says("Rewards that can be added 8 rewards");
    browser.read(&format!("{path}/pay")).await.says("Nothing was paid. Its rewards went back to the pool.");
    world.close().await;
}

#[tokio::test]
async fn paying_exactly_what_was_seen_and_once() {
    let world = World::open("pages_pay", 5).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let mut browser = Browser::of(&world, Role::Payer, "pat").await;
    let csrf = browser.read("/claims").await.hidden("csrf");
    browser.post_on("/claims/add", &[("csrf", &csrf), ("all", "yes")]).await;
    let path = "/claims/PB-2026-0001/pay";
    let page = browser.read(path).await;
    page.says("3 payments for 8 rewards. Nothing is sent until you press Pay.");
    page.says("PayPal reports its balance hours later");
    let shown = |page: &Page| {
        let mut fields =
            vec![("csrf", csrf.clone()), ("digest", page.hidden("digest")), ("once", page.hidden("once"))];
        fields.extend(page.all_hidden("total").into_iter().map(|total| ("total", total)));
        fields
    };
    let fields = shown(&page);
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser
        .post_on(path, &fields)
        .await
        .says("Confirm that you have checked the payees and totals. Nothing was paid.");

    // Someone removes a reward between viewing the page and pressing Pay.
    let id = browser.read("/claims").await.hidden("id");
    browser.post_on("/claims/PB-2026-0001/remove", &[("csrf", &csrf), ("id", &id)]).await;
    fields.push(("checked", "yes"));
    let fresh = browser.read(path).await;
    let stale = [&fields[..], &[]].concat();
    let stale: Vec<_> = stale
        .into_iter()
        .map(|(name, value)| if name == "once" { (name, "another") } else { (name, value) })
        .collect();
    let refused = browser.post(path, &stale).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    refused.says("The batch was changed after it was shown");
    refused.says(": you saw ");
    refused.says("PB-2026-0001 itself was last changed by pat at");

    let fields = shown(&fresh);
    let mut fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.push(("checked", "yes"));
    let paid = browser.post(path, &fields).await;
    assert_eq!((paid.status, paid.to.as_str()), (StatusCode::SEE_OTHER, path));
    let twice = browser.post(path, &fields).await;
    assert_eq!((twice.status, twice.to.as_str()), (StatusCode::SEE_OTHER, path));
    let live = browser.read(path).await;
    live.says("Pay was pressed by pat");
    live.says("0 of 2 payments succeeded, 2 in progress.");
    assert!(live.body.contains("<noscript><meta http-equiv=\"refresh\""), "it follows without JavaScript");
    let number = live.body.split("/transactions/").nth(1).unwrap().split('"').next().unwrap().to_owned();
    let one = browser.read(&format!("/transactions/{number}")).await;
    one.says("The payment is queued.");
    // What keeps all three closed is said once.
    one.says("Resubmit Return to pool Mark as paid outside Nothing has been sent yet");
    let resubmitted = browser.post_on(&format!("/transactions/{number}/resubmit"), &[("csrf", &csrf)]).await;
    resubmitted.says("Confirm first that you have checked. Nothing was done.");
    let sure = [("csrf", csrf.as_str()), ("checked", "yes")];
    let resubmitted = browser.post_on(&format!("/transactions/{number}/resubmit"), &sure).await;
    resubmitted.says("Nothing has been sent yet");
    world.close().await;
}

#[tokio::test]
async fn every_page_is_there_for_whoever_may_read_and_small_enough() {
    let world = World::open("pages_all", 6).await;
    seed_data(&world).await;
    let mut rewards = String::from("external_id,activity,owner,value,currency\n");
    (100..160).for_each(|number| rewards += &format!("R-{number},deal,ana,{number}.00,USD\n"));
    import::rewards(&world.app, &world.actor, rewards.as_bytes(), false, None).await.unwrap();
    let pages = [
        "/",
        "/rewards/settings",
        "/rewards",
        "/rewards?view=all&sort=-value",
        "/rewards?view=eligible",
        "/rewards/RW-000001",
        "/claims",
        "/dashboard/summary",
        "/dashboard/transactions",
        "/dashboard/transactions?needs_attention=true",
        "/dashboard/earnings",
        "/partners",
        "/partners/ana",
        "/accounts/A-1",
        "/settings/payouts",
        "/settings/journal",
        "/exports",
        "/exports/new?of=rewards",
        "/exports/new?of=transactions",
        "/exports/new?of=earnings",
        "/exports/new?of=journal&layout=xero&group=day",
    ];
    for role in [Role::Admin, Role::ProgramManager, Role::Preparer, Role::Payer, Role::Auditor] {
        let mut browser = Browser::of(&world, role, role.as_str()).await;
        for path in pages {
            let page = browser.read(path).await;
            assert!(page.body.len() <= 100 * 1024, "{path} has {} bytes", page.body.len());
        }
        let activity = browser.get("/activity").await.status;
        let audits = matches!(role, Role::Admin | Role::Auditor);
        assert_eq!(activity == StatusCode::OK, audits, "{role:?}");
    }
    let mut admin = Browser::of(&world, Role::Admin, "walker").await;
    assert_eq!(admin.get("/rewards/import").await.to, "/imports/new?what=rewards");
    for path in ["/rewards/new", "/imports", "/rewards/RW-000001/edit", "/rewards/RW-000001/delete"] {
        admin.read(path).await;
    }
    let first = admin.read("/rewards").await;
    let next = first.body.split("href=\"").find(|rest| rest.contains("rel=\"next\"")).unwrap();
    let next = next.split('"').next().unwrap().replace("&#38;", "&");
    first.says("1–50 of 72 rewards");
    let second = admin.read(&next).await;
    second.says("51–72 of 72 Previous page");
    assert!(second.body.contains("<a class=\"btn slim\" href=\"/rewards\" rel=\"prev\">"), "{}", second.body);
    assert_eq!(admin.get("/rewards/RW-999999").await.status, StatusCode::NOT_FOUND);
    assert_eq!(admin.get("/rewards?vieww=all").await.status, StatusCode::BAD_REQUEST);
    let mut auditor = Browser::of(&world, Role::Auditor, "reader").await;
    let csrf = auditor.read("/rewards").await.hidden("csrf");
    let refused = auditor.post("/rewards/RW-000001/decide", &[("csrf", &csrf), ("action", "approve")]).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN);
    world.close().await;
}

#[tokio::test]
async fn a_partner_sees_their_own_and_nothing_else() {
    let world = World::open("pages_portal", 9).await;
    seed_data(&world).await;
    let mut ana = Browser::of(&world, Role::Partner, "ana-herself").await;
    assert_eq!(ana.get("/").await.to, "/portal");
    let page = ana.read("/portal/rewards").await;
    page.says("Closed deal 7,500 JPY Submitted");
    assert!(!page.body.contains("Bo &#60;b&#62; Ek") && !page.body.contains("RW-000001<"), "not Bo's");
    for path in [
        "/rewards",
        "/rewards/RW-000001",
        "/claims",
        "/dashboard/transactions",
        "/partners",
        "/partners/bo",
        "/activity",
    ] {
        let status = ana.get(path).await.status;
        assert!(matches!(status, StatusCode::FORBIDDEN | StatusCode::NOT_FOUND), "{path}: {status}");
    }
    let mut company = Browser::of(&world, Role::PartnerAdmin, "ana-for-all").await;
    company.read("/portal/rewards").await.says("Bo &#60;b&#62; Ek");
    world.close().await;
}

#[tokio::test]
async fn entering_by_hand() {
    let world = World::open("pages_entry", 7).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let form = browser.read("/rewards/new").await;
    let (csrf, id) = (form.hidden("csrf"), form.hidden("external_id"));
    let typed = |value| {
        [
            ("csrf", csrf.as_str()),
            ("external_id", &id),
            ("activity", "deal"),
            ("owner", "ana"),
            ("currency", "USD"),
            ("value", value),
        ]
    };
    let wrong = browser.post("/rewards/new", &typed("1,000.00")).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    wrong.says("Write the amount without thousands separators");
    assert!(wrong.body.contains("value=\"1,000.00\""), "what was typed is kept");
    browser
        .post_on("/rewards/new", &typed("1000.00"))
        .await
        .says("RW-000013 is entered and waits for review.");

    let path = "/rewards/RW-000013";
    let edit = browser.read(&format!("{path}/edit")).await;
    let fields = [("csrf", csrf.as_str()), ("version", &edit.hidden("version")), ("amount", "900.00")];
    browser.post_on(&format!("{path}/edit"), &fields).await.says("RW-000013 is changed.");
    browser.post_on(&format!("{path}/delete"), &[("csrf", &csrf)]).await.says("RW-000013 is deleted.");
    world.close().await;
}

/// The version of a settings section on a page.
fn seen(page: &Page, section: &str) -> String {
    let form = page.body.split(&format!("name=\"section\" value=\"{section}\"")).nth(1).unwrap();
    form.split("name=\"seen\" value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// The amounts in the rows of a list of settings.
fn amounts_of(page: &Page, list: &str) -> Vec<String> {
    let opening = format!("name=\"row_of[]\" value=\"{list}\"");
    let rows = page.body.split(&opening).skip(1);
    let value = |row: &str, name: &str| {
        let field = row.split(&format!("name=\"{name}\"")).nth(1).unwrap();
        field.split("value=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
    };
    rows.map(|row| format!("{} {}", value(row, "row_value[]"), value(row, "row_currency[]"))).collect()
}

/// A threshold as its row of the form sends it.
fn row(value: &'static str, currency: &'static str) -> Vec<(&'static str, &'static str)> {
    vec![("row_of[]", "thresholds"), ("row_lead[]", ""), ("row_value[]", value), ("row_currency[]", currency)]
}

/// An incomplete row is neither dropped nor repaired: it is refused, and stays in the form.
async fn unfinished_rows_are_refused(browser: &mut Browser, head: &[(&str, &str)]) {
    for (value, currency, message) in [
        ("", "EUR", "Row 2 (“EUR”) has no amount. Write one, or tick Remove. Nothing was saved."),
        ("100 00", "EUR", "Row 2 (“100 00 EUR”) has a space within a cell."),
    ] {
        let sent = [head, &row("50", "usd"), &row(value, currency)].concat();
        let wrong = browser.post("/settings/payouts", &sent).await;
        assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
        wrong.says(message);
        let kept = format!("{value} {currency}");
        assert_eq!(amounts_of(&wrong, "thresholds"), ["50 USD", kept.as_str(), " "], "as it was typed");
    }
}

async fn fees_are_saved_as_rows(browser: &mut Browser, csrf: &str, saved: &Page) {
    let tag = seen(saved, "fees");
    let fees = |rows: &[(&'static str, &'static str)]| {
        let head = [("csrf", csrf.to_owned()), ("section", "fees".to_owned()), ("seen", tag.clone())];
        let rows = rows.iter().map(|(name, value)| (*name, (*value).to_owned()));
        head.into_iter().chain(rows).collect::<Vec<_>>()
    };
    let partner = ("fees_paid_by", "partner");
    let row = |currency, percent, maximum| {
        let whole = [("fee_vendor[]", "paypal"), ("fee_currency[]", currency), ("fee_percent[]", percent)];
        let parts =
            [("fee_fixed[]", ""), ("fee_minimum[]", ""), ("fee_maximum[]", maximum), ("fee_monthly[]", "")];
        [&whole[..], &parts[..]].concat()
    };
    for (unfinished, message) in [
        (row("", "2", ""), "A fee has no currency."),
        (row("usd", "", "20.00"), "The fee in USD has neither a percentage nor a fixed or monthly part."),
    ] {
        let sent = fees(&[&[partner], &unfinished[..]].concat());
        let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
        browser.post("/settings/payouts", &sent).await.says(message);
    }
    // Values stay in their row, even if cells before them are empty.
    let sent = fees(&[&[partner], &row("usd", "2", "")[..], &row("eur", "3", "20.00")[..]].concat());
    let sent: Vec<(&str, &str)> = sent.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let saved_fees = browser.post_on("/settings/payouts", &sent).await;
    saved_fees.says("The fees are saved.");
    let rows: Vec<&str> = saved_fees.body.split("name=\"fee_currency[]\"").skip(1).collect();
    let shown = |row: &str| (row.contains("value=\"20.00\""), row.contains("value=\"2.00\""));
    assert!(rows[0].contains("value=\"USD\"") && shown(rows[0]) == (false, true), "{}", rows[0]);
    assert!(rows[1].contains("value=\"EUR\"") && shown(rows[1]) == (true, false), "{}", rows[1]);
    let tag = seen(&saved_fees, "fees");
    let none = [("csrf", csrf), ("section", "fees"), ("seen", tag.as_str()), partner];
    // If PayPal is not enabled, no fee table can be missing.
    browser.post_on("/settings/payouts", &none).await.says("The fees are saved.");
    let on = [("csrf", csrf), ("section", "methods"), ("enabled", "yes"), ("vendor", "paypal")];
    let tag = seen(&browser.read("/settings/payouts").await, "methods");
    let wrong = browser.post("/settings/payouts", &[&on[..], &[("seen", tag.as_str())]].concat()).await;
    wrong.says("without a table Bursar does not know what to deduct from a payment. Nothing was saved.");
}

#[tokio::test]
async fn settings_say_what_is_wrong_and_keep_the_rest() {
    let world = World::open("pages_settings", 8).await;
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    let page = browser.read("/settings/payouts").await;
    let csrf = page.hidden("csrf");
    // Both sections are loaded before either is saved.
    let (methods, amounts) = (seen(&page, "methods"), seen(&page, "amounts"));
    let on = [("csrf", csrf.as_str()), ("section", "methods"), ("seen", &methods), ("enabled", "yes")];
    let wrong = browser.post("/settings/payouts", &on).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    wrong.says("Payout method must be selected. Nothing was saved.");
    let saved = browser.post_on("/settings/payouts", &[&on[..], &[("vendor", "stripe")]].concat()).await;
    saved.says("The payout methods are saved.");
    // A list may also be sent as text with one amount per line.
    let typed = |thresholds| {
        [("csrf", csrf.as_str()), ("section", "amounts"), ("seen", &amounts), ("thresholds", thresholds)]
    };
    let wrong = browser.post("/settings/payouts", &typed("50 USD\n5.001 EUR")).await;
    wrong.says("Nothing was saved.");
    assert_eq!(amounts_of(&wrong, "thresholds"), ["50 USD", "5.001 EUR", " "], "what was typed is kept");
    assert!(wrong.body.contains("aria-invalid"), "the field is marked");
    let head = [("csrf", csrf.as_str()), ("section", "amounts"), ("seen", &amounts)];
    let rows = [&head[..], &row("50", "usd"), &row("70", "EUR"), &row("5000", "JPY"), &row("", "")].concat();
    unfinished_rows_are_refused(&mut browser, &head).await;
    let saved =
        browser.post_on("/settings/payouts", &[&rows[..], &[("row_drop", "thresholds:1")]].concat()).await;
    saved.says("The thresholds are saved.");
    assert_eq!(
        amounts_of(&saved, "thresholds"),
        ["50.00 USD", "5000 JPY", " "],
        "one was ticked to be removed"
    );
    let stale = browser.post("/settings/payouts", &[&head[..], &row("60", "USD")].concat()).await;
    stale.says("Somebody changed this section since you read it.");
    assert_eq!(amounts_of(&stale, "thresholds"), ["60 USD", " "], "what was typed is kept");
    assert!(stale.body.contains("value=\"stripe\" checked"), "the other sections are as they are");

    fees_are_saved_as_rows(&mut browser, &csrf, &saved).await;

    let tag = seen(&saved, "partners");
    let typed =
        |lines| [("csrf", csrf.as_str()), ("section", "partners"), ("seen", &tag), ("tax_thresholds", lines)];
    let wrong = browser.post("/settings/payouts", &typed("next year 1 USD")).await;
    wrong.says("Write a year with its amount, like 2027 2000.00 USD.");
    let partners = browser.post_on("/settings/payouts", &typed("2027 3000 USD")).await;
    partners.says("What partners need is saved.");
    assert_eq!(amounts_of(&partners, "tax_thresholds"), ["3000 USD", " "]);
    assert!(
        partners.body.contains("name=\"row_lead[]\" inputmode=\"numeric\" maxlength=\"4\" value=\"2027\"")
    );

    saved.says("4 of 4 needed events enabled");
    let bad_mode = [("csrf", csrf.as_str()), ("mode", "live"), ("secret_key", "sk_test_wrong")];
    let refused = browser.post("/settings/vendors/stripe", &bad_mode).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.says("This is a test key, but the mode is live. Nothing was changed.");
    let bad_key = [("csrf", csrf.as_str()), ("mode", "test"), ("secret_key", "sk_test_wrong")];
    let refused = browser.post("/settings/vendors/stripe", &bad_key).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    refused.says("Nothing was changed.");
    assert!(!refused.body.contains("sk_test_wrong"), "a secret never stands on a page");
    let good_key = [("csrf", csrf.as_str()), ("secret_key", "sk_test_sim"), ("mode", "test")];
    browser.post_on("/settings/vendors/stripe", &good_key).await.says("Stripe is connected");
    world.close().await;
}

#[tokio::test]
async fn while_payouts_are_off_their_pages_are_not_there() {
    let world = World::open("pages_off", 14).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    browser.read("/rewards").await.says("Review Claims");
    world.set(|it| bursar::ops::settings::Document { enabled: false, ..it }).await;
    for path in ["/claims", "/claims/PB-2026-0001/pay", "/dashboard/transactions", "/transactions/PT-000001"]
    {
        let gone = browser.get(path).await;
        assert_eq!(gone.status, StatusCode::NOT_FOUND, "{path}");
        gone.says("Payouts are switched off. Switch payouts on in Payout Settings.");
    }
    let page = browser.read("/rewards").await;
    assert!(!page.body.contains("href=\"/claims\""), "hidden in the menu");
    browser.read("/settings/payouts").await.says("Payouts are off");
    browser.read("/events").await.says("Vendor events");
    world.close().await;
}

#[tokio::test]
async fn a_second_person_releases_and_a_change_voids_it() {
    let world = World::open("pages_release", 15).await;
    seed_data(&world).await;
    approve_all(&world).await;
    let limits = serde_json::json!({"per_batch": [{"value": "100.00", "currency": "USD"}]});
    let usd = bursar::ops::settings::Amount { value: "9000.00".into(), currency: "USD".into() };
    world
        .set(move |it| bursar::ops::settings::Document {
            two_person_release: true,
            earning_thresholds: vec![usd.clone()],
            limits: limits.clone(),
            ..it
        })
        .await;
    let mut pat = Browser::of(&world, Role::Payer, "pat").await;
    let mut kim = Browser::of(&world, Role::Payer, "kim").await;
    let page = pat.read("/claims").await;
    page.says("10 rewards The payee&#39;s total is under the earning threshold.");
    page.says("3 rewards The payee has not chosen how to be paid.");
    let (csrf, theirs) = (page.hidden("csrf"), kim.read("/claims").await.hidden("csrf"));
    let mut db = world.app.store.read().await.unwrap();
    let of =
        bursar::store::rewards::find(&mut db, "RW-000001").await.unwrap().unwrap().entered.id.to_string();
    drop(db);
    let page = pat.post_on("/claims/add", &[("csrf", &csrf), ("id", &of)]).await;
    page.says("the threshold is 9000.00 USD.");
    page.says("the limit per payout is 100.00 USD.");
    world.set(|it| bursar::ops::settings::Document { limits: serde_json::json!({}), ..it }).await;
    let claim = page.body.split("name=\"claim\" value=\"").nth(1).unwrap().split('"').next().unwrap();
    let path = "/claims/PB-2026-0001";
    let fields = [("csrf", csrf.as_str()), ("claim", claim), ("reason", "he leaves")];
    let page = pat.post_on(&format!("{path}/override"), &fields).await;
    page.says("Threshold overridden “he leaves” pat,");
    page.says("Ask for release");
    pat.post_on(&format!("{path}/ask-release"), &[("csrf", &csrf)]).await.says("pat asked for the release");
    kim.read(path).await.says("Review and release");
    let look = kim.read(&format!("{path}/pay")).await;
    let fields = [("csrf", theirs.as_str()), ("digest", &look.hidden("digest")), ("checked", "yes")];
    let released = kim.post_on(&format!("{path}/release"), &fields).await;
    released.says("kim released this payout as shown here");
    let pay = pat.read(&format!("{path}/pay")).await;
    pay.says("Under the threshold, paid anyway 1");
    let fields = [("csrf", csrf.as_str()), ("claim", claim), ("reason", "he leaves us")];
    let page = pat.post_on(&format!("{path}/override"), &fields).await;
    page.says("The release is void and a new one is needed.");
    world.close().await;
}
