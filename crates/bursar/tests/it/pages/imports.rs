//! Imports on the pages, without JavaScript: upload, column mapping, validation, import, correcting rejected rows and
//! uploading them again; workers that die, hang or are stopped; forged and oversized forms.

use axum::http::StatusCode;
use bursar::ops::import::runs;
use bursar::ops::people::{self, MachineUser};
use bursar::store::imports::{self as store, Filter, ImportKind, ImportState};
use bursar::store::rewards;
use bursar::work::{imports, sweep};
use payout::access::Role;

use super::{Browser, Page, seed_data};
use crate::world::{DAY, Loop, SECOND, World};

/// Leaves two imports: a validated one with rejected rows, and one whose columns need mapping.
pub async fn leave_some(world: &World) {
    let (app, actor) = (&world.app, &world.actor);
    let file = "external_id,activity,owner,value,currency,Region\nF-1,deal,ana,1.00,USD,EMEA\nF-2,deal,nobody,2.00,USD,EMEA\n";
    for _ in 0..2 {
        runs::upload(app, actor, ImportKind::Rewards, "q3.csv", file.as_bytes(), None).await.unwrap();
    }
    let mapping = ["external_id", "activity", "owner", "value", "currency", ""];
    let mapping = mapping.map(|column| Some(column.to_owned()).filter(|column| !column.is_empty()));
    runs::name_columns(app, "IM-000001", &mapping).await.unwrap();
}

/// Uploads a file and returns the page it redirects to.
async fn upload(browser: &mut Browser, what: &str, file: &[u8]) -> Page {
    let form = browser.read(&format!("/imports/new?what={what}")).await;
    let (csrf, once) = (form.hidden("csrf"), form.hidden("once"));
    let parts = [
        ("csrf", None, csrf.as_bytes()),
        ("once", None, once.as_bytes()),
        ("what", None, what.as_bytes()),
        ("file", Some("q3.csv"), file),
        ("pasted", None, b""),
    ];
    browser.send_parts("/imports/new", &parts).await
}

/// Uploads a file and accepts the guessed column mapping; returns its number.
async fn checked(browser: &mut Browser, what: &str, file: &str) -> String {
    let sent = upload(browser, what, file.as_bytes()).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
    let columns = browser.read(&sent.to).await;
    let mapping = chosen(&columns);
    let sent = name_columns(browser, &columns, &sent.to, &mapping).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
    sent.to.rsplit('/').next().unwrap().to_owned()
}

/// The column mapping that the page proposes.
fn chosen(page: &Page) -> Vec<String> {
    let selects =
        page.body.split("name=\"stands_for\"").skip(1).map(|rest| rest.split("</select>").next().unwrap());
    let chosen =
        selects.map(|select| select.split(" selected>").next().filter(|before| before.len() < select.len()));
    chosen
        .map(|before| {
            before.map_or("-", |before| before.trim_end_matches('"').rsplit('"').next().unwrap()).to_owned()
        })
        .collect()
}

async fn name_columns(browser: &mut Browser, page: &Page, path: &str, mapping: &[String]) -> Page {
    let csrf = page.hidden("csrf");
    let mut fields = vec![("csrf", csrf.as_str())];
    fields.extend(mapping.iter().map(|column| ("stands_for", column.as_str())));
    browser.post(path, &fields).await
}

/// Presses Import and returns the next page.
async fn start(browser: &mut Browser, number: &str) -> Page {
    let page = browser.read(&format!("/imports/{number}")).await;
    let fields = [("csrf", page.hidden("csrf")), ("seen", page.hidden("seen"))];
    let fields: Vec<(&str, &str)> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    browser.post_on(&format!("/imports/{number}/start"), &fields).await
}

async fn rewards_there(world: &World) -> usize {
    let ids: Vec<String> = (0..6_000).map(|number| format!("L-{number}")).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    rewards::known(&mut world.app.store.read().await.unwrap(), &ids).await.unwrap().len()
}

/// A file with valid rewards only.
fn many(count: usize) -> String {
    let rows: String = (0..count).map(|number| format!("L-{number},deal,ana,1.00,USD\n")).collect();
    format!("external_id,activity,owner,value,currency\n{rows}")
}

#[tokio::test]
async fn a_workbook_is_matched_checked_and_imported_like_any_file() {
    let world = World::open("imports_workbook", 80).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let sent = upload(&mut browser, "rewards", &crate::api::workbooks::rewards()).await;
    assert_eq!(sent.status, StatusCode::SEE_OTHER, "{}", sent.body);
    let columns = browser.read(&sent.to).await;
    let read = "Read from the sheet “Q3”; other sheets with rows were not read: “Read me”.";
    columns.says(read);
    columns.says("123456789012345 · X-2");
    let mapping = chosen(&columns);
    let sent = name_columns(&mut browser, &columns, &sent.to, &mapping).await;
    let page = browser.read(&sent.to).await;
    for words in [read, "1234.50 EUR", "2026-02-05", "#N/A", "This cell shows an error.", "keeps only 15"] {
        page.says(words);
    }
    let number = sent.to.rsplit('/').next().unwrap().to_owned();
    let file = browser.read(&format!("/imports/{number}/refused.csv")).await.body;
    let mut lines = file.lines();
    let header = "\u{feff}reason,external_id,activity,owner,value,currency,earned_on,note";
    assert_eq!(lines.next(), Some(header));
    assert!(lines.next().unwrap().ends_with("X-3,deal,ana,#N/A,EUR,2026-02-05,\"over"), "{file}");
    start(&mut browser, &number).await;
    assert_eq!(world.tick(0, Loop::Imports).await, 1);
    assert_eq!(rewards_named(&world, &["123456789012345", "X-2", "X-3"]).await, 2);
    world.close().await;
}

#[tokio::test]
async fn a_file_is_taken_by_its_name_and_pasted_rows_have_none() {
    let world = World::open("imports_named", 79).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let rows = many(1);
    let send = async |browser: &mut Browser, name: Option<&str>| {
        let form = browser.read("/imports/new?what=rewards").await;
        let (csrf, once) = (form.hidden("csrf"), form.hidden("once"));
        let (file, pasted) = if name.is_some() { (rows.as_bytes(), "") } else { (&b""[..], rows.as_str()) };
        let parts = [
            ("csrf", None, csrf.as_bytes()),
            ("once", None, once.as_bytes()),
            ("what", None, &b"rewards"[..]),
            ("file", Some(name.unwrap_or_default()), file),
            ("pasted", None, pasted.as_bytes()),
        ];
        browser.send_parts("/imports/new", &parts).await
    };
    for name in ["q3.xls", "q3", "q3.csv.exe", ".csv"] {
        let refused = send(&mut browser, Some(name)).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{name}");
        refused.says(&format!(
            "The file name must end in .csv, .tsv, .txt or .xlsx, but this file is named “{name}”."
        ));
    }
    for name in [Some("q3.CSV"), Some("q3.tsv"), Some("q3.txt"), Some("q3.xlsx"), None] {
        assert_eq!(send(&mut browser, name).await.status, StatusCode::SEE_OTHER, "{name:?}");
    }
    world.close().await;
}

#[tokio::test]
async fn a_lone_quotation_mark_takes_no_other_row_with_it() {
    let world = World::open("imports_quote", 78).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let file = "external_id,activity,owner,value,currency,note\nQ-1,deal,ana,5.00,USD,\"15 inch promo\n\
                Q-2,deal,bo,2.00,usd,ok\nQ-3,deal,bo,3.00,USD,\"17 inch\nQ-4,deal,bo,4.00,USD,19 inch\"\n";
    let number = checked(&mut browser, "rewards", file).await;
    let page = browser.read(&format!("/imports/{number}")).await;
    page.says("1 row would be imported, 0 rows already there with the same content, 3 rows refused.");
    page.says("5 lines: 1 of header, 4 rows, 0 blank.");
    page.says("2 note – This field&#39;s quotation mark is not closed on its line");
    page.says("4 note – This field&#39;s quotation mark is not closed on its line");
    start(&mut browser, &number).await;
    world.tick(0, Loop::Imports).await;
    assert_eq!(rewards_named(&world, &["Q-1", "Q-2", "Q-3", "Q-4"]).await, 1);
    // A line that cannot be split into columns is in a single cell, and is rejected again until someone rewrites it.
    let mended = browser.read(&format!("/imports/{number}/refused.csv")).await.body;
    assert!(mended.contains(",\"Q-1,deal,ana,5.00,USD,\"\"15 inch promo\"\n"), "{mended}");
    let number = checked(&mut browser, "rewards", &mended).await;
    let page = browser.read(&format!("/imports/{number}")).await;
    page.says("0 rows would be imported, 0 rows already there with the same content, 3 rows refused.");
}

async fn rewards_named(world: &World, ids: &[&str]) -> usize {
    rewards::known(&mut world.app.store.read().await.unwrap(), ids).await.unwrap().len()
}

/// The first hour: all four example files, one after the other, into an empty database.
#[tokio::test]
async fn the_examples_go_in_as_they_are() {
    let world = World::open("imports_examples", 79).await;
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    for what in [ImportKind::Accounts, ImportKind::Activities, ImportKind::Partners, ImportKind::Rewards] {
        let what = what.as_str();
        let form = browser.read(&format!("/imports/new?what={what}")).await;
        let link = format!("/imports/example/{what}.csv");
        assert!(form.body.contains(&format!("href=\"{link}\"")), "{}", form.body);
        let file = browser.read(&link).await.body;
        let number = checked(&mut browser, what, &file).await;
        world.tick(0, Loop::Imports).await;
        browser.read(&format!("/imports/{number}")).await.says("0 rows refused.");
        start(&mut browser, &number).await;
        world.tick(0, Loop::Imports).await;
        browser
            .read(&format!("/imports/{number}"))
            .await
            .says("0 rows already there with the same content, 0 rows refused.");
    }
    assert_eq!(rewards_named(&world, &["example-1", "example-2"]).await, 2);
    assert_eq!(browser.get("/imports/example/clawbacks.csv").await.status, StatusCode::NOT_FOUND);
    world.close().await;
}

#[tokio::test]
async fn from_the_upload_to_the_file_of_refused_rows_and_again() {
    let world = World::open("imports_again", 71).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let file = "\u{feff}Deal;Partner;Reward Activity;Amount;Currency;Memo;Region\r\n\
                F-1;ana;deal;1.00;USD;;EMEA\r\n\
                F-2;nobody;deal;2.00;USD;=HYPERLINK(1);EMEA\r\n\
                F-3;bo;quiz;;;;\r\n\
                F-4;bo;deal;-3.00;USD;\"@a; b\";APAC\r\n\
                F-5;bo;deal\r\n\
                R-11;ana;deal;7500;JPY;;\r\n";
    let sent = upload(&mut browser, "rewards", file.as_bytes()).await;
    assert_eq!(sent.to, "/imports/IM-000001/columns");
    let columns = browser.read(&sent.to).await;
    columns.says("q3.csv: 6 rows of rewards, separated by semicolons.");
    columns.says("F-1 · F-2 · F-3");
    let mut mapping = chosen(&columns);
    assert_eq!(mapping, ["-", "owner", "activity", "value", "currency", "note", "-"]);

    let wrong = name_columns(&mut browser, &columns, &sent.to, &mapping).await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    wrong.says("An import of rewards needs external_id, but no column of the file is mapped to it.");
    mapping[0] = "external_id".to_owned();
    let page = name_columns(&mut browser, &columns, &sent.to, &mapping).await;
    let page = browser.read(&page.to).await;
    page.says("2 rows would be imported, 1 row already there with the same content, 3 rows refused.");
    page.says("Left out of the file: Region.");
    page.says("3 owner nobody There is no partner with this external id");
    page.says("6 the whole row – The row has 3 fields, but the header has 7.");
    page.says("4 F-3 Quiz Bo &#60;b&#62; Ek 350 points");
    assert_eq!(rewards_there(&world).await, 0, "a check enters nothing");

    start(&mut browser, "IM-000001").await.says("Being imported");
    assert_eq!(world.tick(0, Loop::Imports).await, 1);
    let done = browser.read("/imports/IM-000001").await;
    done.says("2 rows imported, 1 row already there with the same content, 3 rows refused.");
    done.says("Import finished by pat");
    let refused = browser.read("/imports/IM-000001/refused.csv").await.body;
    let lines: Vec<&str> = refused.lines().collect();
    assert_eq!(lines[0], "\u{feff}reason;Deal;Partner;Reward Activity;Amount;Currency;Memo;Region");
    assert!(lines[1].ends_with(";F-2;nobody;deal;2.00;USD;'=HYPERLINK(1);EMEA"), "{refused}");
    assert!(lines[2].ends_with(";F-4;bo;deal;-3.00;USD;\"'@a; b\";APAC"), "{refused}");

    // The corrected file needs no column mapping, and the apostrophes added against formulas are removed.
    let mended = refused.replace("nobody", "ana").replace("-3.00", "3.00");
    let number = checked(&mut browser, "rewards", &mended).await;
    let page = browser.read(&format!("/imports/{number}")).await;
    page.says("2 rows would be imported, 0 rows already there with the same content, 1 row refused.");
    page.says("=HYPERLINK(1)");
    assert!(!page.body.contains("&#39;=HYPERLINK"), "what was written is entered");
    browser.read("/imports?what=rewards&state=done").await.says("IM-000001 Rewards q3.csv Done 2 1 3");
    world.close().await;
}

#[tokio::test]
async fn a_worker_that_dies_or_sleeps_enters_nothing_twice() {
    let mut world = World::open("imports_dies", 72).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let number = checked(&mut browser, "rewards", &many(4_500)).await;
    browser.read(&format!("/imports/{number}")).await.says("The 4,500 rows are being checked.");
    assert_eq!(imports::once(&world.works[0], world.now()).await.unwrap(), 1);
    start(&mut browser, &number).await.says("0 of 4,500 rows are done.");

    // One chunk is imported; the process that takes the next one dies with it.
    assert_eq!(imports::once(&world.works[0], world.now()).await.unwrap(), 1);
    assert_eq!(rewards_there(&world).await, 2_000);
    let asleep = runs::lease(&world.app, world.now()).await.unwrap().unwrap();
    world.replace(0).await;
    assert_eq!(imports::once(&world.works[0], world.now()).await.unwrap(), 0, "its lease still holds");
    let page = browser.read(&format!("/imports/{number}")).await;
    page.says("2,000 of 4,500 rows are done.");
    assert!(page.body.contains("http-equiv=\"refresh\""), "it follows without JavaScript");

    world.pass(200 * SECOND);
    assert_eq!(imports::once(&world.works[0], world.now()).await.unwrap(), 1);
    assert_eq!(rewards_there(&world).await, 4_000);
    // The worker that only hung is too late: its chunk is rolled back as a whole.
    assert!(runs::advance(&world.app, &asleep).await.unwrap().is_empty());
    assert_eq!(rewards_there(&world).await, 4_000);
    world.tick(0, Loop::Imports).await;
    assert_eq!(rewards_there(&world).await, 4_500);
    let done = browser.read(&format!("/imports/{number}")).await;
    done.says("4,500 rows imported, 0 rows already there with the same content, 0 rows refused.");
    world.close().await;
}

#[tokio::test]
async fn what_was_entered_before_it_was_canceled_stays() {
    let world = World::open("imports_cancel", 73).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let number = checked(&mut browser, "rewards", &many(2_100)).await;
    world.tick(0, Loop::Imports).await;
    let page = start(&mut browser, &number).await;
    imports::once(&world.works[0], world.now()).await.unwrap();
    let csrf = page.hidden("csrf");
    let canceled = browser.post_on(&format!("/imports/{number}/cancel"), &[("csrf", &csrf)]).await;
    canceled.says("It was canceled after 2,000 of 2,100 rows. 2,000 rows imported before that stay.");
    assert_eq!(world.tick(0, Loop::Imports).await, 0);
    assert_eq!(rewards_there(&world).await, 2_000);
    let again = browser.post_on(&format!("/imports/{number}/cancel"), &[("csrf", &csrf)]).await;
    again.says("This import was canceled.");

    // If the user who started the import is disabled in the meantime, it stops.
    let number = checked(&mut browser, "rewards", &many(2_100)).await;
    world.tick(0, Loop::Imports).await;
    start(&mut browser, &number).await;
    people::disable(&world.app, "pat@example.com", MachineUser("root")).await.unwrap();
    world.tick(0, Loop::Imports).await;
    assert_eq!(rewards_there(&world).await, 2_000);
    let mut auditor = Browser::of(&world, Role::Auditor, "reader").await;
    auditor.read(&format!("/imports/{number}")).await.says("The person who started it may no longer do so.");
    world.close().await;
}

#[tokio::test]
async fn a_forged_or_broken_form_stores_nothing() {
    let world = World::open("imports_forged", 74).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    let csrf = browser.read("/imports/new").await.hidden("csrf");
    let file = many(1);
    let what = ("what", None, &b"rewards"[..]);
    let (word, wrong) = (("csrf", None, csrf.as_bytes()), ("csrf", None, &b"forged"[..]));
    let file = ("file", Some("q.csv"), file.as_bytes());
    for parts in [vec![what, file], vec![wrong, what, file], vec![what, file, word]] {
        let refused = browser.send_parts("/imports/new", &parts).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        refused.says("This form is not from your session, so nothing was done.");
    }
    // Submitting the form twice uploads once.
    let once = ("once", None, &b"the same form"[..]);
    let first = browser.send_parts("/imports/new", &[word, once, what, file]).await;
    let second = browser.send_parts("/imports/new", &[word, once, what, file]).await;
    assert_eq!((first.to.as_str(), second.to.as_str()), ("/imports/IM-000001/columns", first.to.as_str()));
    let two = browser.send_parts("/imports/new", &[word, what, file, file]).await;
    two.says("Send one file at a time.");
    let large = vec![b'x'; (32 << 20) + 1];
    let large = browser.send_parts("/imports/new", &[word, what, ("file", Some("q.csv"), &large)]).await;
    assert_eq!(large.status, StatusCode::PAYLOAD_TOO_LARGE);
    large.says("The file is larger than the limit of 32 MB, so nothing was stored.");
    let elsewhere = browser.send_parts("/rewards/new", &[word, what]).await;
    assert_eq!(elsewhere.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "other forms take no files");

    for (file, message) in [
        (&b"external_id,note\nCRM-1,ok\nCRM-2,Caf\xe9\n"[..], "byte 10 of line 3 is 0xE9"),
        (b"e\0x\0t\0", "Save it as \"CSV UTF-8\""),
        (b"", "Choose a file, or paste its rows."),
        (b"external_id,activity\n", "header but no rows"),
    ] {
        let file = ("file", Some(if file.is_empty() { "" } else { "q.csv" }), file);
        let refused = browser.send_parts("/imports/new", &[word, what, file]).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{message}");
        assert!(refused.words().replace("&#34;", "\"").contains(message), "{message}: {}", refused.words());
    }
    let mut db = world.app.store.read().await.unwrap();
    assert_eq!(store::list(&mut db, &Filter::default(), 9).await.unwrap().len(), 1, "only the good one");
    drop(db);
    world.close().await;
}

#[tokio::test]
async fn partners_come_with_where_they_are_paid() {
    let world = World::open("imports_partners", 75).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let file = "id,company,full name,e-mail,country,language,vendor,destination\n\
                dee,A-1,Dee Fox,dee@example.com,US,en,paypal,dee@example.com\n\
                eve,A-1,Eve Orr,eve@example.com,US,en,stripe,acct_of_eve\n\
                fay,A-9,Fay Poe,fay@example.com,US,en,,\n\
                dee,A-1,Dee Other,dee@example.com,US,en,,\n\
                gus,A-1,Gus Lee,gus@example.com,US,en,stripe,acct_of_eve\n";
    let number = checked(&mut browser, "partners", file).await;
    let page = browser.read(&format!("/imports/{number}")).await;
    page.says("3 rows would be saved, 0 rows already there with the same content, 2 rows refused.");
    assert!(!page.body.contains("acct_of_eve"), "where somebody is paid is not shown");
    start(&mut browser, &number).await;
    world.tick(0, Loop::Imports).await;
    let done = browser.read(&format!("/imports/{number}")).await;
    done.says("2 rows saved, 0 rows already there with the same content, 3 rows refused.");
    done.says("6 destination – The row is saved, but its destination was not set: This Stripe account is already linked");
    done.says("5 external_id dee This external id is on an earlier line with different content");
    browser.read("/partners/dee").await.says("d…@example.com");

    // Those who prepare and pay do not review rewards; they do not see what they may not import.
    for (role, sees) in [(Role::Preparer, false), (Role::Payer, false), (Role::Auditor, true)] {
        let mut other = Browser::of(&world, role, role.as_str()).await;
        assert_eq!(other.get("/rewards").await.body.contains("href=\"/imports\""), sees);
        assert_eq!(other.get("/imports").await.status == StatusCode::OK, sees);
        let csrf = other.read("/rewards").await.hidden("csrf");
        let refused =
            other.post(&format!("/imports/{number}/start"), &[("csrf", &csrf), ("seen", "1")]).await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN);
        let file = other.get(&format!("/imports/{number}/refused.csv")).await;
        assert_eq!(file.status, StatusCode::FORBIDDEN);
    }
    world.close().await;
}

/// A file that changes the destination of a known payee is flagged before the import, after it, and to scripts through the
/// exit code.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_changes_where_somebody_is_paid_says_so() {
    let world = World::open("imports_destinations", 77).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let head = "external_id,account,name,email,vendor,destination\n";
    let file = format!("{head}dee,A-1,Dee Fox,dee@example.com,paypal,dee@example.com\n");
    let number = checked(&mut browser, "partners", &file).await;
    let page = browser.read(&format!("/imports/{number}")).await;
    assert!(!page.words().contains("Changed destinations"), "who is new is not moved");
    page.says("d…@example.com");
    start(&mut browser, &number).await;
    world.tick(0, Loop::Imports).await;

    // The same payee with another address, one who had no destination, and one whose new destination is rejected.
    let file = format!(
        "{head}dee,A-1,Dee Fox,dee@example.com,paypal,thief@example.com\n\
         bo,A-1,Bo Ek,bo@example.com,stripe,acct_of_bo\ncy,A-1,Cy Ray,cy@example.com,stripe,acct_of_bo\n"
    );
    let number = checked(&mut browser, "partners", &file).await;
    let page = browser.read(&format!("/imports/{number}")).await;
    page.says("3 rows would be saved, 0 rows already there with the same content, 0 rows refused.");
    page.says("2 destinations would be changed: those payees are then paid elsewhere. 1 payee without a");
    page.says("d…@example.com t…@example.com");
    page.says("Import, and change 2 destinations");
    start(&mut browser, &number).await;
    world.tick(0, Loop::Imports).await;
    let page = browser.read(&format!("/imports/{number}")).await;
    page.says("2 destinations are changed: those payees are then paid elsewhere.");
    assert!(!page.words().contains("without a destination"), "hers was refused: {}", page.words());
    page.says("Import finished by pat");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("partners.csv");
    std::fs::write(&path, format!("{head}dee,A-1,Dee Fox,dee@example.com,paypal,other@example.com\n"))
        .unwrap();
    let path = path.display().to_string();
    for (arguments, says) in [
        (vec!["--dry-run"], "1 would be accepted, 0 already entered, 0 refused"),
        (vec!["--dry-run", "--json"], "\"new\":\"o…@example.com\""),
        (vec![], "1 destination is changed"),
    ] {
        let entered = arguments.is_empty();
        let all: Vec<&str> = ["import", "partners", &path].into_iter().chain(arguments).collect();
        let (good, message) = crate::reconciliation::command(&world, &all).await;
        assert!(good == entered && message.replace("\": \"", "\":\"").contains(says), "{message}");
    }
    let (good, message) = crate::reconciliation::command(&world, &["import", "partners", &path]).await;
    assert!(good && message.contains("0 accepted, 1 already entered, 0 refused"), "{message}");
    world.close().await;
}

#[tokio::test]
async fn files_are_forgotten_after_thirty_days() {
    let world = World::open("imports_forgotten", 76).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::ProgramManager, "pat").await;
    let file = "external_id,activity,owner,value,currency\nL-1,deal,nobody,1.00,USD\n";
    let number = checked(&mut browser, "rewards", file).await;
    browser.read(&format!("/imports/{number}")).await.says("Nothing to import");
    world.pass(29 * DAY);
    assert_eq!(runs::forget(&world.app, world.now()).await.unwrap(), 0);
    world.pass(2 * DAY);
    sweep::once(&world.works[0], world.now()).await.unwrap();
    assert_eq!(runs::forget(&world.app, world.now()).await.unwrap(), 0, "once");
    let mut browser = Browser::of(&world, Role::ProgramManager, "kim").await;
    let page = browser.read(&format!("/imports/{number}")).await;
    page.says("It was canceled before anything was imported.");
    page.says("The file and its refused rows were kept for 30 days and deleted");
    assert_eq!(browser.get(&format!("/imports/{number}/refused.csv")).await.status, StatusCode::NOT_FOUND);
    let import = store::find(&mut world.app.store.read().await.unwrap(), &number).await.unwrap();
    assert_eq!((import.state, import.counts.rejected), (ImportState::Canceled, 1));
    world.close().await;
}

#[tokio::test]
async fn ids_that_read_alike_in_an_older_database_are_named() {
    let world = World::open("pages_alike", 33).await;
    seed_data(&world).await;
    let url = &world.database_url;
    // As stored by an earlier version: the second is a different ID that looks the same.
    for sql in [
        "UPDATE account SET external_id = 'acme' WHERE external_id = (SELECT MIN(external_id) FROM account)",
        "INSERT INTO account (id, external_id, name, standing, created_at, updated_at) \
         SELECT 'acc_7ZZZZZZZZZZZZZZZZZZZZZZZZZ', 'acme ', 'Acme', standing, created_at, updated_at FROM account LIMIT 1",
        "UPDATE partner SET external_id = '  ana' WHERE external_id = 'ana'",
        "DELETE FROM meta WHERE name = 'external_id_way'",
    ] {
        crate::world::run(url, sql.to_owned()).await;
    }
    bursar::store::Store::open(url).await.unwrap().close().await;
    let mut db = world.app.store.read().await.unwrap();
    let found = bursar::store::external_ids::collisions(&mut db, 10).await.unwrap();
    let told: Vec<(&str, &str)> = found.iter().map(|one| (one.was.as_str(), one.normal.as_str())).collect();
    assert_eq!(told, [("acme ", "acme")], "the older stays, the other is named, and ana has her id again");
    let ana = bursar::ops::payees::named(&mut db, "ana").await.unwrap();
    assert!(ana.is_some(), "found by the id that reads so");
    drop(db);
    let page = Browser::of(&world, Role::Admin, "pat").await.read("/imports").await;
    page.says("Look-alike ids");
    page.says("looks like acme");
    world.close().await;
}

/// The event stream URL of a live page, with the version it shows.
fn listens(page: &Page) -> String {
    page.body.split("data-live=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

/// A change between loading the page and opening its stream is not lost: the stream starts with the version that the page
/// shows.
#[tokio::test]
async fn a_file_that_moves_on_before_its_page_listens_is_told_at_once() {
    let world = World::open("imports_stream", 59).await;
    seed_data(&world).await;
    let mut browser = Browser::of(&world, Role::Admin, "pat").await;
    let file = "external_id,activity,owner,value,currency\nF-1,deal,ana,1.00,USD\nF-2,deal,ana,7.00,EUR\n";
    let number = checked(&mut browser, "rewards", file).await;
    let page = browser.read(&format!("/imports/{number}")).await;
    page.says("Total of the new rows: 7.00 EUR, 1.00 USD.");
    start(&mut browser, &number).await;
    let moving = browser.read(&format!("/imports/{number}")).await;
    let address = listens(&moving);
    let seen = address.rsplit_once("seen=").unwrap().1.to_owned();
    world.tick(0, Loop::Imports).await;
    let numbers = super::paying::told(&mut browser, &address, None).await.unwrap();
    assert_eq!(
        (numbers.len(), &numbers[0]),
        (2, &seen),
        "first what was seen, then what it is now: {numbers:?}"
    );
    assert_ne!(numbers[1], seen);
    let rest = super::paying::told(&mut browser, &address, Some(&numbers[1])).await;
    assert_eq!(rest, None, "it is done, and the browser knows");

    let (app, actor) = (&world.app, &world.actor);
    let scope = bursar::ops::exports::Scope::Audit(Box::default());
    let asked = bursar::ops::exports::ExportRequest {
        scope,
        format: bursar::documents::Format::Csv,
        marked: false,
        columns: Vec::new(),
        filter_summary: "everything".to_owned(),
    };
    let run = bursar::ops::exports::queue(app, actor, &asked, 9_000, None).await.unwrap();
    let address = listens(&browser.read(&format!("/exports/{}", run.label())).await);
    while bursar::work::exports::once(&world.works[0], world.now()).await.unwrap() > 0 {}
    let numbers = super::paying::told(&mut browser, &address, None).await.unwrap();
    assert_eq!(numbers.len(), 2, "first what was seen, then what it is now: {numbers:?}");
    assert_eq!(super::paying::told(&mut browser, &address, Some(&numbers[1])).await, None);
    world.close().await;
}
