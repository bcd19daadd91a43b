//! `safe-mode`: its status, turning it on and off, and resolving found payments. Works while the server runs.

use clap::{Args, Subcommand};
use payout::money::Vendor;

use super::{Outcome, open, operator, output, unknown, words};
use crate::clock;
use crate::config::Config;
use crate::ops::safe_mode::{self, FoundPayment, Report, STEPS, SettlementNote, Vouched};

/// The most found payments to list.
const MOST_FOUND: i64 = 1_000;

#[derive(Args)]
pub(super) struct Options {
    #[command(subcommand)]
    command: Option<Order>,
    #[command(flatten)]
    config: Config,
    /// Print one JSON object
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Order {
    /// Stop sending and changing payments from now on
    On {
        /// The time the restored database dates from (RFC 3339); payments made since are searched for at the vendors
        #[arg(long, value_parser = moment)]
        put_back_from: Option<i64>,
        /// The reason, for others to read
        #[arg(long, default_value = "")]
        note: String,
    },
    /// Resume sending, once everything unfinished has been looked up
    Off {
        /// Confirm that you compared this vendor's payments by hand, because Bursar cannot: stripe, paypal or both
        #[arg(long, value_delimiter = ',', value_parser = vendor)]
        compared_by_hand: Vec<Vendor>,
        /// After a restore or failover: I entered the lost holds, closed payees and changed destinations again
        #[arg(long)]
        reentered: bool,
    },
    /// Record what was done about a payment that a vendor has and this database does not know
    Settle {
        /// The vendor's id of it
        object: String,
        /// What was done, such as which rewards were voided
        #[arg(long)]
        note: String,
        /// Confirm that you checked the rewards that become payable once this is settled and that it paid none of them,
        /// or that its money came back; or, if it holds nobody, that the payee is on hold. Give the word that `bursar
        /// safe-mode` prints below it
        #[arg(long, value_name = "WORD")]
        none_of: Option<String>,
    },
}

fn moment(text: &str) -> Result<i64, String> {
    clock::moment(text).ok_or_else(|| format!("{text:?} is not a time like 2026-03-02T02:00:00Z"))
}

fn vendor(text: &str) -> Result<Vendor, String> {
    Vendor::parse(text).ok_or_else(|| "the vendors are stripe and paypal".to_owned())
}

pub(super) async fn run(options: Options) -> Outcome {
    let app = open(options.config).await?;
    let (mut compared, mut done) = (Vec::new(), None);
    match options.command {
        None => {}
        Some(Order::On { put_back_from, note }) => {
            safe_mode::switch_on(&app, &operator(), put_back_from, &note).await.map_err(words)?;
        }
        Some(Order::Off { compared_by_hand, reentered }) => {
            let vouched = Vouched { compared: &compared_by_hand, reentered };
            safe_mode::leave(&app, &operator(), vouched).await.map_err(words)?;
            compared = compared_by_hand;
        }
        Some(Order::Settle { object, note, none_of }) => {
            let none =
                format!("No payment found at a vendor has the id {object:?}. `bursar safe-mode` lists them.");
            let said = SettlementNote { note: &note, none_of: none_of.as_deref() };
            let settled = safe_mode::settle_found(&app, &operator(), &object, said).await;
            done = Some(settled.map_err(|error| unknown(error, &none))?);
        }
    }
    let mut db = app.store.read().await?;
    let report = safe_mode::report(&mut db, &compared).await?;
    let found = safe_mode::list(&mut db, MOST_FOUND).await?;
    drop(db);
    app.store.close().await;
    if options.json {
        let rows: Vec<serde_json::Value> = found.iter().map(row).collect();
        output::json(&serde_json::json!({ "on": report.state.is_some(), "state": report.state, "done": done,
            "keeps_on": report.keeps_on, "goes_out": report.goes_out, "open": report.open, "found": rows }));
    } else {
        if let Some(done) = done {
            output::print_line(&done);
        }
        print_report(&report);
        print_found(&found);
    }
    Ok(())
}

fn row(of: &FoundPayment) -> serde_json::Value {
    let (found, settled) = (&of.listed.found, of.listed.settled.as_ref());
    let unpaid = of.unpaid.iter().map(|one| {
        serde_json::json!({ "reward": one.label(), "value": one.value.to_string(), "status": one.status.as_str(),
            "clawback": one.clawback, "draft": one.draft, "payment": one.payment.map(|number| format!("PT-{number:06}")) })
    });
    serde_json::json!({ "vendor": found.vendor.as_str(), "id": found.object_id, "our_id": found.our_id,
        "destination": found.destination, "amount": found.amount.to_string(),
        "made_at": found.made_at.map(clock::rfc3339), "found_at": clock::rfc3339(of.listed.found_at),
        "settled_at": settled.map(|(at, ..)| clock::rfc3339(*at)), "settled_by": settled.map(|(_, by, _)| by),
        "note": settled.map(|(.., note)| note),
        "standing": of.listed.stands.as_ref().map(|(stands, _)| stands.as_str()),
        "vendor_says": of.listed.stands.as_ref().map(|(_, word)| word), "holds_nobody": of.holds_nobody(),
        "settle_with": of.listed.payment.map(|number| format!("PT-{number:06}")),
        "unpaid": unpaid.collect::<Vec<_>>(), "none_of": of.none_of() })
}

/// A found payment that names a payment here is settled on that payment.
fn with_payment(number: i64) -> String {
    format!(": settle it on PT-{number:06}, by hand, as made under this id")
}

fn print_report(report: &Report) {
    match &report.state {
        None => output::print_line("Safe mode is off."),
        Some(state) => {
            let since =
                if state.at > 0 { format!(" since {}", clock::human(state.at)) } else { String::new() };
            output::print_line(&format!("Safe mode is ON{since}: nothing is sent. {}", state.says));
            for one in &report.keeps_on {
                output::print_line(&format!("  until  {one}"));
            }
            if report.keeps_on.is_empty() {
                output::print_line(&match state.since {
                    Some(since) => format!(
                        "  Everything has been looked up. {} Then run `bursar safe-mode off --reentered`.",
                        safe_mode::to_reenter(since)
                    ),
                    None => "  Nothing is compared with the vendors: it only stops payments, until `bursar safe-mode off`. If the database was restored, run `bursar safe-mode on --put-back-from TIME` before you end it.".to_owned(),
                });
            }
        }
    }
    let when = if report.state.is_some() { "goes out when it ends" } else { "goes out now" };
    for one in &report.goes_out {
        output::print_line(&format!("  {when}: {one}"));
    }
    for one in &report.open {
        output::print_line(&format!("  open   {one}"));
    }
}

/// Prints the open found payments and the steps to settle them.
fn print_found(found: &[FoundPayment]) {
    let open: Vec<&FoundPayment> = found.iter().filter(|one| one.listed.settled.is_none()).collect();
    if open.is_empty() {
        return;
    }
    output::print_line("         Settle each in this order:");
    for (place, step) in STEPS.iter().enumerate() {
        output::print_line(&format!("         {}. {step}", place + 1));
    }
    for one in open {
        let (of, names) = (&one.listed.found, one.names());
        let name = if names.is_empty() { names } else { format!("{names}, ") };
        output::print_line(&format!(
            "         {} {}: {} to {name}{} ({}){}",
            of.vendor.label(),
            of.object_id,
            of.amount,
            of.destination,
            of.our_id,
            one.listed.payment.map(with_payment).unwrap_or_default()
        ));
        if let Some(stands) = one.stands() {
            output::print_line(&format!("           {stands}"));
        }
        for reward in &one.unpaid {
            output::print_line(&format!("           {} {} {}", reward.label(), reward.value, reward.says()));
        }
        if let Some(word) = one.none_of() {
            output::print_line(&match one.holds_nobody() {
                true => format!(
                    "           {} If they are on hold, or it paid none of your payees: --none-of {word}",
                    one.whom()
                ),
                false => format!(
                    "           Void or reject those of these that it paid. If it paid none of them, or its money came back: --none-of {word}"
                ),
            });
        }
    }
}
