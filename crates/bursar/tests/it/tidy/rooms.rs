//! Which module may import which: there are few modules, and most imports between them are forbidden.

use super::{Breach, Rule};
use crate::source::{self, Source};

pub const RULES: &[Rule] = &[
    Rule {
        name: "who may import whom",
        why: "a verb that cannot see a vendor cannot call one inside its transaction, and a face that cannot write \
              cannot go around a verb",
        broken: walled_up,
        bad: &[
            ("crates/bursar/src/ops/pay.rs", "use vendors::stripe;"),
            ("crates/bursar/src/ops/pay.rs", "let x = ::vendors::Outcome::Unknown;"),
            ("crates/bursar/src/store/rewards.rs", "use crate::ops::pay;"),
            ("crates/bursar/src/store/rewards.rs", "use crate::{clock, web};"),
            ("crates/bursar/src/work/dispatch.rs", "crate::web::router()"),
            ("crates/bursar/src/web/payouts/pay.rs", "use crate::store::{Db, Tx};"),
            ("crates/bursar/src/web/payouts/pay.rs", "transact!(app, |tx| { Ok(()) })"),
            ("crates/bursar/src/web/payouts/pay.rs", "use vendors::stripe;"),
            ("crates/bursar/src/work/dispatch.rs", "use simulator::Simulator;"),
            ("crates/bursar/src/app.rs", "use crate::cli;"),
            ("crates/payout/src/money.rs", "let now = std::time::SystemTime::now();"),
            ("crates/vendors/src/stripe/client.rs", "use reqwest::Client;"),
        ],
        good: &[
            (
                "crates/bursar/src/ops/pay.rs",
                "use crate::store::{payees, vendors};\nlet x = vendors::facts(tx);",
            ),
            ("crates/bursar/src/ops/mod.rs", "pub mod vendors;\n// vendors::stripe"),
            ("crates/bursar/src/ops/pay.rs", "let x = store::vendors::all(tx); let crate_web = 1;"),
            ("crates/bursar/src/cli/demo.rs", "use simulator::Simulator;\nuse crate::web;"),
            ("crates/bursar/src/web/webhooks/receive.rs", "use vendors::signature;"),
            ("crates/vendors/src/http.rs", "use reqwest::Client;"),
        ],
    },
    Rule {
        name: "no vendor is called while a database transaction is open",
        why: "a slow vendor would hold locks for twenty seconds, and what it answered could be rolled back",
        broken: called_inside,
        bad: &[
            ("crates/bursar/src/work/send.rs", "transact!(app, |tx| { work.clients.stripe().await })"),
            (
                "crates/bursar/src/work/send.rs",
                "transact!(app, |tx| { if x { to_stripe(work, of).await } Ok(1) })",
            ),
            (
                "crates/bursar/src/work/send.rs",
                "async fn note(tx: &mut Tx, client: &PayPal) { client.item(1) }",
            ),
        ],
        good: &[
            (
                "crates/bursar/src/work/send.rs",
                "let a = transact!(app, |tx| { note(tx, work).await })?; work.clients.stripe().await; one(work)",
            ),
            (
                "crates/bursar/src/work/send.rs",
                "async fn note(tx: &mut Tx, work: &Work) { work.app.now() }\nfn f(work: &Work) { work.clients.http() }",
            ),
        ],
    },
    Rule {
        name: "what a crate may depend on",
        why: "an absent dependency is the strongest rule there is: rules that cannot do IO need no mock, and a \
              simulator that cannot see our code cannot share its mistakes",
        broken: dependencies,
        bad: &[
            ("crates/payout/Cargo.toml", "[dependencies]\nserde.workspace = true\n"),
            ("crates/simulator/Cargo.toml", "[dependencies]\npayout = { path = \"../payout\" }\n"),
            ("crates/vendors/Cargo.toml", "[dependencies]\nsqlx.workspace = true\n"),
        ],
        good: &[
            (
                "crates/payout/Cargo.toml",
                "[dependencies]\nsha2.workspace = true\n\n[dev-dependencies]\ninsta = \"1\"\n",
            ),
            ("crates/bursar/Cargo.toml", "[dependencies]\nserde.workspace = true\n"),
        ],
    },
    Rule {
        name: "wrong turns are for the simulation alone",
        why: "what is wrong on purpose proves that the simulation can see; nothing that pays anybody may take a wrong turn, \
              nor is shipped with any",
        broken: takes_wrong_turns,
        bad: &[
            ("crates/bursar/src/cli/serve.rs", "payout::planted::choose(\"paid_is_final\");"),
            ("crates/bursar/src/cli/serve.rs", "use payout::planted::{self, choose};"),
            ("Cargo.toml", "[profile.release]\ndebug-assertions = true\n"),
        ],
        good: &[
            ("crates/sim/src/run.rs", "planted::choose(name);"),
            ("crates/bursar/src/work/send.rs", "if payout::planted::on(\"no_fence\") {}"),
            (
                "Cargo.toml",
                "[profile.release]\noverflow-checks = true\n\n[profile.sim]\ndebug-assertions = true\n",
            ),
        ],
    },
    Rule {
        name: "one TLS, in Rust",
        why: "aws-lc and OpenSSL need a C tool chain and bring a second set of roots; ring serves everything here",
        broken: second_tls,
        bad: &[
            ("Cargo.lock", "[[package]]\nname = \"aws-lc-sys\"\n"),
            ("Cargo.lock", "name = \"openssl-sys\"\n"),
        ],
        good: &[("Cargo.lock", "name = \"ring\"\n")],
    },
];

/// A module, its forbidden imports, and the files that are exempt from one.
struct Room {
    under: &'static str,
    never: &'static [&'static str],
    except: &'static [&'static str],
}

const CLI: &[&str] = &["crates/bursar/src/cli", "crates/bursar/src/main.rs"];

const ROOMS: &[Room] = &[
    Room {
        under: "crates/payout/src/",
        never: &["std::fs", "std::net", "std::io", "std::env", "std::process", "std::thread", "std::time"],
        except: &[],
    },
    Room { under: "crates/vendors/src/", never: &["reqwest"], except: &["crates/vendors/src/http.rs"] },
    Room { under: "crates/bursar/src/", never: &["crate::cli", "simulator"], except: CLI },
    Room { under: "crates/bursar/src/", never: &["reqwest"], except: &[] },
    Room { under: "crates/bursar/src/", never: &["sqlx"], except: &["crates/bursar/src/store/"] },
    Room { under: "crates/bursar/src/", never: &["lettre"], except: &["crates/bursar/src/work/mailer.rs"] },
    Room { under: "crates/bursar/src/", never: &["minijinja", "mrml"], except: &["crates/bursar/src/mail/"] },
    Room {
        under: "crates/bursar/src/",
        never: &["krilla", "rust_xlsxwriter"],
        except: &["crates/bursar/src/documents/"],
    },
    Room {
        under: "crates/bursar/src/documents/",
        never: &["crate::ops", "crate::work", "crate::web"],
        except: &[],
    },
    Room {
        under: "crates/bursar/src/mail/",
        never: &["crate::store", "crate::ops", "crate::clock"],
        except: &[],
    },
    Room {
        under: "crates/bursar/src/store/",
        never: &["crate::ops", "crate::work", "crate::web", "vendors"],
        except: &[],
    },
    Room { under: "crates/bursar/src/ops/", never: &["crate::work", "crate::web", "vendors"], except: &[] },
    Room { under: "crates/bursar/src/work/", never: &["crate::web"], except: &[] },
    Room {
        under: "crates/bursar/src/web/",
        never: &["vendors"],
        except: &["crates/bursar/src/web/webhooks/receive.rs"],
    },
    // The writer that commits events in groups serves the route that waits for it.
    Room {
        under: "crates/bursar/src/web/",
        never: WRITING,
        except: &["crates/bursar/src/web/kit/event_writer.rs"],
    },
    Room { under: "crates/bursar/src/cli", never: WRITING, except: &[] },
];

/// Names that only verbs need.
const WRITING: &[&str] = &["Tx", "transact"];

fn walled_up(file: &Source) -> Vec<Breach> {
    if !file.path.ends_with(".rs") {
        return Vec::new();
    }
    let code = file.code();
    let inside = |prefixes: &[&str]| prefixes.iter().any(|prefix| file.path.starts_with(prefix));
    let rooms = ROOMS.iter().filter(|room| inside(&[room.under]) && !inside(room.except));
    let doors = rooms.flat_map(|room| room.never.iter().map(|never| (room.under, *never)));
    doors
        .flat_map(|(under, never)| uses(&code, never).into_iter().map(move |line| (under, never, line)))
        .map(|(under, never, line)| (line, format!("{under} does not use {never}")))
        .collect()
}

/// The lines on which code uses `door`: a module (`crate::web`), a standard library module (`std::fs`), another crate
/// (`vendors`), or a plain name (`Tx`).
fn uses(code: &str, door: &str) -> Vec<usize> {
    let named = |line: usize, _: &str| line;
    if let Some((root, module)) = door.split_once("::") {
        return paths(code, root)
            .into_iter()
            .filter(|(_, name)| name == module)
            .map(|(line, _)| line)
            .collect();
    }
    if WRITING.contains(&door) {
        return source::names(code)
            .filter(|(_, name)| *name == door)
            .map(|(line, name)| named(line, name))
            .collect();
    }
    // A module of ours may have a crate's name; where it is imported, the bare name means the module.
    let ours = statements(code).any(|text| {
        let from_us = ["crate::", "super::", "self::"].iter().any(|root| text.contains(root));
        let declared = text.contains(&format!("mod {door}"));
        (from_us && source::names(text).any(|(_, name)| name == door)) || declared
    });
    let mut lines = Vec::new();
    for (at, _) in code.match_indices(door) {
        let (before, after) = (&code[..at], &code[at + door.len()..]);
        let word = |character: char| character.is_alphanumeric() || character == '_';
        let whole = !before.ends_with(word) && !after.starts_with(word);
        let of_a_path = before.ends_with("::") && before.trim_end_matches("::").ends_with(word);
        let root = after.starts_with("::") && !of_a_path && (!ours || before.ends_with("::"));
        let renamed = before.ends_with("use ") && !ours;
        if whole && (root || renamed) {
            lines.push(before.matches('\n').count() + 1);
        }
    }
    lines
}

/// The `use` and `mod` statements of code.
fn statements(code: &str) -> impl Iterator<Item = &str> {
    let is_one = |text: &&str| source::names(text).any(|(_, name)| name == "use" || name == "mod");
    code.split(';').filter(is_one)
}

/// The names after `root::` in code: `crate::web` and `crate::{clock, web::form}` both name `web`.
fn paths(code: &str, root: &str) -> Vec<(usize, String)> {
    let opening = format!("{root}::");
    let word = |character: char| character.is_alphanumeric() || character == '_';
    let first =
        |text: &str| text.trim_start().chars().take_while(|character| word(*character)).collect::<String>();
    let mut found = Vec::new();
    for (at, _) in code.match_indices(&opening) {
        if code[..at].ends_with(word) {
            continue;
        }
        let line = code[..at].matches('\n').count() + 1;
        let after = &code[at + opening.len()..];
        match after.strip_prefix('{') {
            Some(group) => found.extend(members(group).iter().map(|member| (line, first(member)))),
            None => found.push((line, first(after))),
        }
    }
    found
}

/// The members of a group of imports, after its opening brace.
fn members(group: &str) -> Vec<String> {
    let mut depth = 0;
    let mut members = vec![String::new()];
    for character in group.chars() {
        match (character, depth) {
            ('}', 0) => break,
            (',', 0) => members.push(String::new()),
            (_, _) => {
                depth += i32::from(character == '{') - i32::from(character == '}');
                if let Some(last) = members.last_mut() {
                    last.push(character);
                }
            }
        }
    }
    members
}

/// Vendor clients are reached through `work.clients`, so code in a database transaction must not name them, nor pass `work`
/// to a function outside the transaction.
fn called_inside(file: &Source) -> Vec<Breach> {
    if !file.path.starts_with("crates/bursar/src/") || !file.path.ends_with(".rs") {
        return Vec::new();
    }
    let code = file.code();
    let mut found = Vec::new();
    for (at, inside) in in_transactions(&code) {
        let first = code[..at].matches('\n').count();
        for (number, line) in inside.lines().enumerate() {
            let client = ["clients", "Clients", "client", "http", "Http"];
            let named = source::names(line).any(|(_, name)| client.contains(&name));
            let handed_on = ["(work,", "(work)", "(&work,", "(&work)"].iter().any(|text| line.contains(text));
            if named || handed_on {
                found.push((first + number + 1, line.trim().to_owned()));
            }
        }
    }
    found
}

/// Code that runs in a database transaction, with its start: the block of each `transact!`, and each function that takes a
/// `Tx`.
fn in_transactions(code: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (at, _) in code.match_indices("transact!(") {
        let begin = at + "transact!".len();
        found.push((begin, bracketed(&code[begin..], '(', ')')));
    }
    for (at, _) in code.match_indices("fn ") {
        let signature = code[at..].split(['{', ';']).next().unwrap_or_default();
        if source::names(signature).any(|(_, name)| name == "Tx") {
            let body = bracketed(&code[at + signature.len()..], '{', '}');
            found.push((at, &code[at..at + signature.len() + body.len()]));
        }
    }
    found
}

/// The text up to the matching closing bracket.
fn bracketed(text: &str, open: char, close: char) -> &str {
    let mut depth = 0;
    for (at, character) in text.char_indices() {
        depth += i32::from(character == open) - i32::from(character == close);
        if depth == 0 {
            return &text[..at + character.len_utf8()];
        }
    }
    text
}

fn dependencies(file: &Source) -> Vec<Breach> {
    let may = |name: &str| match file.path.as_str() {
        "crates/payout/Cargo.toml" => ["sha2", "idna", "unicode-normalization"].contains(&name),
        "crates/vendors/Cargo.toml" => !["sqlx", "axum", "bursar", "simulator"].contains(&name),
        "crates/simulator/Cargo.toml" => !["sqlx", "bursar", "payout", "vendors"].contains(&name),
        _ => true,
    };
    let named = named_dependencies(&file.text, &["dependencies", "build-dependencies"]).into_iter();
    named.filter(|(_, name)| !may(name)).map(|(line, name)| (line, format!("depends on {name}"))).collect()
}

/// The names in the given sections of a manifest, with their lines.
fn named_dependencies(manifest: &str, wanted: &[&str]) -> Vec<(usize, String)> {
    let mut section = "";
    let mut found = Vec::new();
    for (number, line) in manifest.lines().enumerate() {
        if let Some(name) = line.strip_prefix('[') {
            section = name.trim_end_matches(']');
        } else if wanted.contains(&section) && !line.trim().is_empty() && !line.starts_with('#') {
            let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
            found.push((number + 1, name.to_owned()));
        }
    }
    found
}

fn takes_wrong_turns(file: &Source) -> Vec<Breach> {
    let mut section = "";
    // The simulation, where it talks to its own child process.
    let ours = file.path.starts_with("crates/sim/")
        || ["crates/payout/src/planted.rs", "crates/bursar/src/points.rs"].contains(&file.path.as_str());
    let code = file.path.starts_with("crates/") && file.path.contains("/src/") && file.path.ends_with(".rs");
    let mut found = Vec::new();
    for (number, line) in (1..).zip(file.text.lines()) {
        let chosen = code && !ours && line.contains("planted") && line.contains("choose");
        if file.path.ends_with("Cargo.toml") && line.starts_with('[') {
            section = line.trim();
        }
        let compiled = section == "[profile.release]" && line.starts_with("debug-assertions");
        if chosen || compiled {
            found.push((number, line.to_owned()));
        }
    }
    found
}

#[test]
fn nobody_here_takes_a_wrong_turn() {
    assert!(
        payout::planted::ALL.iter().all(|(name, _)| !payout::planted::on(name)),
        "a wrong turn is chosen"
    );
}

fn second_tls(file: &Source) -> Vec<Breach> {
    if file.path != "Cargo.lock" {
        return Vec::new();
    }
    let never = ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"];
    let lines = file.text.lines().enumerate();
    lines
        .filter_map(|(number, line)| {
            Some((number + 1, line.strip_prefix("name = \"")?.trim_end_matches('"')))
        })
        .filter(|(_, name)| never.contains(name))
        .map(|(line, name)| (line, name.to_owned()))
        .collect()
}
