//! Money: what moved at the vendors, what our ledger says about it, and whether each reward was paid once. Not here:
//! how payments came to move (`payments`).

use std::collections::{BTreeMap, BTreeSet};

use simulator::{Holder, Vendor};

use super::flows::Flow;
use super::sight::{Payment, Sight};
use crate::world::memory::ON_ITS_WAY;

pub fn all(sight: &Sight, violations: &mut Vec<String>) {
    i01_each_reward_once(sight, violations);
    i01_nothing_is_paid_beside_the_schedule(sight, violations);
    i02_each_success_has_its_movement(sight, violations);
    i02_what_a_payee_bears_is_by_the_table(sight, violations);
    i03_each_movement_is_of_one_payment(sight, violations);
    i04_our_books_are_the_vendors(sight, violations);
    i04_our_balance_is_the_vendors(sight, violations);
    i05_the_books_sum_to_zero(sight, violations);
    i06_amounts_and_rewards(sight, violations);
    i06_a_clawback_comes_off_the_next_claim(sight, violations);
    i08_one_key_one_body(sight, violations);
    i09_intended_before_sent(sight, violations);
    i11_whole_numbers(sight, violations);
    i14_our_end_is_the_vendors(sight, violations);
    i14_what_was_made_is_not_called_failed(sight, violations);
}

fn label(of: &Payment) -> String {
    format!("PT-{:06} {} ({} {} {})", of.number, of.id, of.net, of.currency, of.state)
}

/// Waiting for a person who has been notified, so no final state is asserted.
fn with_a_person(of: &Payment) -> bool {
    of.contradicted || matches!(of.state.as_str(), "review" | "payout_review")
}

/// The vendor is known to contradict the state, or the outcome cannot be queried: the bank payout ended after the
/// account's owner revoked our access.
fn nobody_can_know(sight: &Sight, of: &Payment) -> bool {
    of.contradicted || sight.books.ends_unseen(&of.id)
}

/// What is out of our balance if all of it was paid: the net amount less partial reversals at Stripe, which the ledger
/// must include.
fn left(sight: &Sight, of: &Payment) -> i64 {
    let parts = sight.attempts.iter().filter(|attempt| attempt.payment == of.id);
    of.net - parts.map(|attempt| attempt.reversed).sum::<i64>()
}

/// I01: the net amount moved for a reward at the vendors is zero or exactly its amount.
fn i01_each_reward_once(sight: &Sight, violations: &mut Vec<String>) {
    let by_id: BTreeMap<&str, &Payment> = sight.payments.iter().map(|one| (one.id.as_str(), one)).collect();
    let mut paid: BTreeMap<&str, Vec<&Payment>> = BTreeMap::new();
    for (payment, reward, _) in &sight.covered {
        let Some(payment) = by_id.get(payment.as_str()) else { continue };
        if sight.flows[&payment.id].gone() > 0 || payment.outside {
            paid.entry(reward).or_default().push(payment);
        }
    }
    // Payments by a lost database are in the vendors' books as well.
    for (payment, reward) in sight.lost.covered.iter().filter(|(id, _)| !by_id.contains_key(id.as_str())) {
        let flows = sight.books.flows(payment);
        let gone: i64 = flows.iter().map(|flow| flow.left_minor - flow.returned_minor).sum();
        if let Some(by) = paid.get(reward.as_str()).filter(|_| gone > 0) {
            let by: Vec<String> = by.iter().map(|one| label(one)).collect();
            violations.push(format!(
                "I01: {reward} was paid by {payment}, which is lost, and by {}",
                by.join(", ")
            ));
        }
    }
    for (reward, by) in paid.iter().filter(|(_, by)| by.len() > 1) {
        let by: Vec<String> = by.iter().map(|one| label(one)).collect();
        violations.push(format!("I01: {reward} was paid {} times: {}", by.len(), by.join(", ")));
    }
    for one in &sight.payments {
        let flow = &sight.flows[&one.id];
        let whole = flow.gone() == 0 || flow.gone() == left(sight, one);
        if !(whole || with_a_person(one) && (0..=one.net).contains(&flow.gone())) {
            violations.push(format!("I01: {} moved {} for {}", label(one), flow.gone(), one.net));
        }
    }
}

/// I01: money that Stripe's own schedule paid out is not paid again with money that arrived for another payment. Totals
/// do not reveal this, because the payee has the sum of both. Excused: a payout already under way when the schedule
/// ran.
fn i01_nothing_is_paid_beside_the_schedule(sight: &Sight, violations: &mut Vec<String>) {
    for one in &sight.payments {
        if let Some((swept, ours)) = sight.books.paid_beside_the_schedule(&one.id, sight.latitude) {
            violations.push(format!(
                "I01: {} was paid by {swept}, which is the schedule's, and by {ours}",
                label(one)
            ));
        }
    }
}

/// I02: each success has exactly one matching movement: amount, currency, destination.
fn i02_each_success_has_its_movement(sight: &Sight, violations: &mut Vec<String>) {
    for one in &sight.payments {
        let flow = &sight.flows[&one.id];
        if flow.elsewhere {
            violations.push(format!("I02: {} moved at another vendor, or to our own bank", label(one)));
        }
        for movement in &flow.movements {
            let right = movement.amount == one.net
                && movement.currency.eq_ignore_ascii_case(&one.currency)
                && movement.destination == one.destination;
            if !right {
                violations.push(format!(
                    "I02: {} was promised to {}, and {} is {} {} to {}",
                    label(one),
                    one.destination,
                    movement.id,
                    movement.amount,
                    movement.currency,
                    movement.destination
                ));
            }
        }
        let arrived = flow.movements.iter().filter(|movement| movement.arrived).count();
        if arrived > 1 || (one.state == "success" && !nobody_can_know(sight, one) && arrived != 1) {
            violations.push(format!("I02: {} was paid {arrived} times", label(one)));
        }
    }
}

/// I02: the payee receives the amount, less the fee in the settings if the payee bears it.
fn i02_what_a_payee_bears_is_by_the_table(sight: &Sight, violations: &mut Vec<String>) {
    let by_payees = sight.settings["fees_paid_by"] == "partner";
    let none = Vec::new();
    let tables = sight.settings["fees"].as_array().unwrap_or(&none);
    for one in &sight.payments {
        let table = tables.iter().find(|table| {
            table["vendor"] == one.vendor.as_str() && table["currency"] == one.currency.as_str()
        });
        let fee = match table.filter(|_| by_payees) {
            Some(table) => fee(table, one.amount),
            None => Some(0),
        };
        if fee.is_some_and(|fee| one.net != one.amount - fee) {
            violations.push(format!(
                "I02: {} is of {} less {fee:?}, and {} is paid",
                label(one),
                one.amount,
                one.net
            ));
        }
    }
}

/// A share of the amount, rounded up and capped; `None` if the fee table has other components.
fn fee(table: &serde_json::Value, amount: i64) -> Option<i64> {
    let more = ["fixed", "minimum", "monthly"].iter().any(|name| !table[*name].is_null());
    let part = amount * table["basis_points"].as_i64()?;
    let part = part / 10_000 + i64::from(part % 10_000 > 0);
    let most = table["maximum"].as_str().map(|most| most.replace('.', "").parse::<i64>());
    let most = match most {
        Some(Ok(most)) => most,
        Some(Err(_)) => return None,
        None => i64::MAX,
    };
    (!more).then(|| part.min(most))
}

/// I03: each movement belongs to exactly one payment.
fn i03_each_movement_is_of_one_payment(sight: &Sight, violations: &mut Vec<String>) {
    let known: BTreeSet<&str> = sight.payments.iter().map(|one| one.id.as_str()).collect();
    // Payments lost in the restore are identified by what was found at the vendors.
    let known: BTreeSet<&str> = known.into_iter().chain(sight.found.iter().map(String::as_str)).collect();
    // Lost payments with no money out need not have been found.
    let over = sight.lost.over(&sight.books);
    let known: BTreeSet<&str> = known.into_iter().chain(over.iter().map(String::as_str)).collect();
    let of_ours = |id: Option<&String>| id.is_some_and(|id| known.contains(id.as_str()));
    for line in sight.books.transfers.iter().filter(|line| !of_ours(line.transfer_group.as_ref())) {
        violations.push(format!("I03: the transfer {} is of no payment", line.id));
    }
    for line in &sight.books.payouts {
        let swept =
            !line.settles.is_empty() && line.settles.iter().all(|group| known.contains(group.as_str()));
        if !swept && !line.automatic && !of_ours(line.metadata.get("transaction")) {
            violations.push(format!("I03: the payout {} is of no payment", line.id));
        }
    }
    for line in sight.books.items.iter().filter(|line| !of_ours(line.sender_item_id.as_ref())) {
        violations.push(format!("I03: the item {} is of no payment", line.id));
    }
    let mut carried: BTreeMap<(&str, &str), BTreeSet<&str>> = BTreeMap::new();
    let one_object = |leg: &str| matches!(leg, "transfer" | "reversal" | "item");
    for attempt in sight.attempts.iter().filter(|attempt| one_object(&attempt.leg)) {
        if let Some(id) = &attempt.vendor_id {
            carried.entry((&attempt.leg, id)).or_default().insert(&attempt.payment);
        }
    }
    for ((leg, id), by) in carried.iter().filter(|(_, by)| by.len() > 1) {
        violations.push(format!("I03: the {leg} {id} is carried by {} payments", by.len()));
    }
}

/// I04: our ledger agrees with the vendor's books for each payment.
fn i04_our_books_are_the_vendors(sight: &Sight, violations: &mut Vec<String>) {
    for one in &sight.payments {
        let in_flight = matches!(
            one.state.as_str(),
            "queued" | "sending" | "unknown" | "review" | "processing" | "on_hold" | "unclaimed"
        );
        let promised = if in_flight { -one.amount } else { 0 };
        if sight.booked(&one.id, "in_flight:") != promised {
            let booked = sight.booked(&one.id, "in_flight:");
            violations.push(format!("I04: {} has {booked} in flight", label(one)));
        }
        let parked = matches!(one.state.as_str(), "payout_failed" | "payout_canceled" | "recalling");
        let lying = if parked && !one.outside { one.net } else { 0 };
        if sight.booked(&one.id, "returned:") != lying {
            let booked = sight.booked(&one.id, "returned:");
            violations.push(format!("I04: {} has {booked} lying in the payee's balance", label(one)));
        }
        let flow = &sight.flows[&one.id];
        let booked = sight.booked(&one.id, "vendor_balance:");
        let real = flow.gone() + flow.fees - unseen_fees(sight, one);
        if !in_flight && !with_a_person(one) && !parked && booked != -real {
            violations.push(format!(
                "I04: {} took {real} from our balance and our books say {}",
                label(one),
                -booked
            ));
        }
    }
}

/// I04: once nothing is in flight, our balance at each vendor matches the ledger.
fn i04_our_balance_is_the_vendors(sight: &Sight, violations: &mut Vec<String>) {
    let open = |one: &&Payment| {
        with_a_person(one)
            || !matches!(
                one.state.as_str(),
                "success"
                    | "failed"
                    | "returned"
                    | "recalled"
                    | "blocked"
                    | "refunded"
                    | "reversed"
                    | "written_off"
            )
    };
    for (vendor, name) in [(Vendor::Stripe, "stripe"), (Vendor::PayPal, "paypal")] {
        let mut booked: BTreeMap<&str, i64> = BTreeMap::new();
        let account = format!("vendor_balance:{name}");
        for (row, minor) in sight.postings.iter().zip(&sight.amounts).filter(|(row, _)| row[3] == account) {
            *booked.entry(&row[4]).or_default() += minor;
        }
        for (currency, minor) in booked {
            let mut under_way =
                sight.payments.iter().filter(|one| one.vendor == name && one.currency == currency);
            if under_way.any(|one| open(&one)) {
                continue;
            }
            let has = |holder| sight.books.balance(vendor, &holder, currency);
            let unseen = sight.payments.iter().filter(|one| one.vendor == name && one.currency == currency);
            let unseen: i64 = unseen.map(|one| unseen_fees(sight, one)).sum();
            let gone = -(has(Holder::Outside) + has(Holder::Ours)) - found(sight, vendor, currency) - unseen;
            if gone != -minor {
                let booked = -minor;
                violations.push(format!(
                    "I04: {gone} {currency} left our balance at {name}, our books say {booked}"
                ));
            }
        }
    }
}

/// Fees of items that nobody saw: after a restore, an item whose place another took may belong to no attempt. The
/// ledger then lacks its fee, and reconciliation reports it as money the ledger does not include.
fn unseen_fees(sight: &Sight, one: &Payment) -> i64 {
    if sight.lost.at == 0 {
        return 0;
    }
    let carried = |id: &String| sight.attempts.iter().any(|attempt| attempt.vendor_id.as_ref() == Some(id));
    let items = sight.books.items.iter().filter(|item| item.sender_item_id.as_ref() == Some(&one.id));
    let unseen: i64 = items.filter(|item| !carried(&item.id)).map(|item| item.fee).sum();
    // If the ledger includes it anyway, it was seen.
    let flow = &sight.flows[&one.id];
    let all = sight.booked(&one.id, "vendor_balance:") == -(flow.gone() + flow.fees);
    if all { 0 } else { unseen }
}

/// What left our balance for payments lost with the database: not in the ledger; people resolve it.
fn found(sight: &Sight, vendor: Vendor, currency: &str) -> i64 {
    let here: BTreeSet<&str> = sight.payments.iter().map(|one| one.id.as_str()).collect();
    let lost: BTreeSet<&String> = sight.found.iter().chain(sight.lost.payments()).collect();
    let lost = lost.into_iter().filter(|id| !here.contains(id.as_str()));
    let gone = |id: &String| {
        let flows = sight.books.flows(id).into_iter();
        let same = flows.filter(|flow| flow.vendor == vendor && flow.currency.eq_ignore_ascii_case(currency));
        let items = sight.books.items.iter().filter(|item| item.sender_item_id.as_ref() == Some(id));
        let fees = items.filter(|item| item.currency.eq_ignore_ascii_case(currency)).map(|item| item.fee);
        let fees: i64 = if vendor == Vendor::PayPal { fees.sum() } else { 0 };
        same.map(|flow| flow.left_minor - flow.returned_minor).sum::<i64>() + fees
    };
    lost.map(gone).sum()
}

/// I05: every journal sums to zero.
fn i05_the_books_sum_to_zero(sight: &Sight, violations: &mut Vec<String>) {
    let mut sums: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    for (row, minor) in sight.postings.iter().zip(&sight.amounts) {
        *sums.entry((&row[0], &row[4])).or_default() += minor;
    }
    for ((journal, currency), sum) in sums.iter().filter(|(_, sum)| **sum != 0) {
        violations.push(format!("I05: {journal} sums to {sum} {currency}"));
    }
}

/// I06: a payment's amount is the sum of its rewards; a reward is in at most one live payment.
fn i06_amounts_and_rewards(sight: &Sight, violations: &mut Vec<String>) {
    let mut sums: BTreeMap<&str, i64> = BTreeMap::new();
    let mut live: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    let standing: BTreeSet<&str> =
        sight.payments.iter().filter(|one| !one.released).map(|one| one.id.as_str()).collect();
    for (payment, reward, minor) in &sight.covered {
        *sums.entry(payment).or_default() += minor;
        if standing.contains(payment.as_str()) {
            live.entry(reward).or_default().push(payment);
        }
    }
    for one in &sight.payments {
        let sum = sums.get(one.id.as_str()).copied().unwrap_or(0);
        if sum != one.amount {
            violations.push(format!("I06: {} is of {} and its rewards sum to {sum}", label(one), one.amount));
        }
    }
    for (reward, by) in live.iter().filter(|(_, by)| by.len() > 1) {
        violations.push(format!("I06: {reward} is in {} live payments", by.len()));
    }
    for reward in &sight.rewards {
        let joined = live.get(reward.id.as_str()).and_then(|by| by.first()).copied();
        if reward.payment.as_deref() != joined {
            violations.push(format!(
                "I06: RW-{:06} says {:?}, its live payment is {joined:?}",
                reward.number, reward.payment
            ));
        }
        let paid = joined.is_some_and(|joined| {
            sight.payments.iter().any(|one| one.id == joined && (one.state == "success" || one.outside))
        });
        if reward.paid != paid {
            violations.push(format!(
                "I06: RW-{:06} says paid: {}, its payment says {paid}",
                reward.number, reward.paid
            ));
        }
        if reward.payment.is_some() && reward.batch.is_none() {
            violations.push(format!("I06: RW-{:06} is in a payment and in no batch", reward.number));
        }
    }
    let values: BTreeMap<&str, i64> = sight.rewards.iter().map(|one| (one.id.as_str(), one.value)).collect();
    for (payment, reward, minor) in &sight.covered {
        let of = sight.rewards.iter().find(|one| one.id == *reward);
        let value = values.get(reward.as_str()).copied().unwrap_or(0);
        let right = of.is_some_and(|one| one.entry == "clawback") || value == *minor;
        if !right {
            violations.push(format!("I06: {reward} is worth {value} and {payment} covers {minor} of it"));
        }
    }
}

/// I06: a clawback that was free when its payee's claim was formed was deducted from it.
fn i06_a_clawback_comes_off_the_next_claim(sight: &Sight, violations: &mut Vec<String>) {
    let named = |number: i64| format!("RW-{number:06}");
    let added = |number: i64, batch: Option<&str>| {
        let name = named(number);
        let rows = sight.trail.iter().filter(|row| row.action == "batch_rewards_added");
        let mut rows = rows.filter(|row| batch.is_none_or(|batch| row.subject == batch));
        rows.find(|row| row.detail.contains(&name)).map(|row| row.at)
    };
    let numbers: BTreeMap<&str, i64> =
        sight.rewards.iter().map(|one| (one.id.as_str(), one.number)).collect();
    for clawback in sight.rewards.iter().filter(|one| one.entry == "clawback") {
        let Some(approved) = clawback.approved_at else { continue };
        let first = added(clawback.number, None).unwrap_or(i64::MAX);
        let of_it = sight.payments.iter().filter(|one| {
            Some(&one.payee) == clawback.payee.as_ref() && Some(&one.currency) == clawback.currency.as_ref()
        });
        for one in of_it {
            let covers = sight.covered.iter().filter(|(payment, _, _)| *payment == one.id);
            let joined =
                covers.filter_map(|(_, reward, _)| added(*numbers.get(reward.as_str())?, Some(&one.batch)));
            let Some(joined) = joined.min() else { continue };
            if approved + sight.latitude < joined && joined < first {
                violations.push(format!(
                    "I06: {} lay free when {} was formed, and was left out",
                    named(clawback.number),
                    label(one)
                ));
            }
        }
    }
}

/// I08: the bytes sent under one key never differ, and match what was committed.
fn i08_one_key_one_body(sight: &Sight, violations: &mut Vec<String>) {
    let committed: BTreeMap<&str, String> =
        sight.submissions.iter().map(|one| (one.key.as_str(), hash(&one.body))).collect();
    // A request lost with the database is created again and compared with the vendor's under the same key.
    for request in sight.books.requests.iter().filter(|request| request.at > sight.lost.at) {
        let Some(key) = &request.key else { continue };
        if let Some(body) = committed.get(key.as_str())
            && *body != request.body_hash
        {
            violations.push(format!("I08: other bytes than those committed were sent under {key}"));
        }
    }
}

fn hash(body: &str) -> String {
    use sha2::Digest as _;
    sha2::Sha256::digest(body.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// I09: nothing is sent without a committed intention.
fn i09_intended_before_sent(sight: &Sight, violations: &mut Vec<String>) {
    let committed: BTreeSet<&str> = sight.submissions.iter().map(|one| one.key.as_str()).collect();
    for request in sight.books.requests.iter().filter(|request| request.at > sight.lost.at) {
        if !request.key.as_deref().is_some_and(|key| committed.contains(key)) {
            violations.push(format!(
                "I09: {} was asked for under {:?}, which nobody committed",
                request.path, request.key
            ));
        }
    }
}

/// I11: all amounts are whole minor units.
fn i11_whole_numbers(sight: &Sight, violations: &mut Vec<String>) {
    violations.extend(sight.not_whole.iter().map(|what| format!("I11: not a whole number in {what}")));
}

/// I14: after healing our final state matches the vendor's.
fn i14_our_end_is_the_vendors(sight: &Sight, violations: &mut Vec<String>) {
    for one in sight.payments.iter().filter(|one| !nobody_can_know(sight, one)) {
        let flow = &sight.flows[&one.id];
        if !agrees(one, flow, left(sight, one)) {
            violations.push(format!(
                "I14: {}, and at the vendor {} is gone and {} is with the payee",
                label(one),
                flow.gone(),
                flow.arrived
            ));
        }
    }
}

/// I14: the program never recorded as refused or not found what the vendor had made and not reversed since. Discovering
/// the mistake later and asking people does not excuse it.
fn i14_what_was_made_is_not_called_failed(sight: &Sight, violations: &mut Vec<String>) {
    let mut made: BTreeMap<(&str, &str), i64> = BTreeMap::new();
    let transfers = sight.books.transfers.iter().filter(|line| line.amount_reversed == 0);
    let transfers =
        transfers.filter_map(|line| Some((line.transfer_group.as_deref()?, "failed", line.created_at)));
    let payouts = sight.books.payouts.iter().filter(|line| line.status == "paid");
    let payouts = payouts.filter_map(|line| {
        Some((line.metadata.get("transaction")?.as_str(), "payout_failed", line.created_at))
    });
    let items = sight.books.items.iter().filter(|line| line.status == "SUCCESS");
    let items = items.filter_map(|line| {
        let batch = sight.books.batches.iter().find(|batch| batch.id == line.batch)?;
        Some((line.sender_item_id.as_deref()?, "failed", batch.created_at))
    });
    for (payment, end, at) in transfers.chain(payouts).chain(items) {
        let first = made.entry((payment, end)).or_insert(at);
        *first = at.min(*first);
    }
    let moved = sight.trail.iter().filter(|row| row.action == "transaction_moved");
    for row in moved.filter(|row| !sight.people.contains(&row.actor)) {
        let Ok(detail) = serde_json::from_str::<serde_json::Value>(&row.detail) else { continue };
        let Some(end) = detail["state"].as_str().filter(|_| detail["fact"] == "refused") else { continue };
        let since = made.get(&(row.subject.as_str(), end));
        // The clocks may differ.
        if since.is_some_and(|since| since + sight.latitude - ON_ITS_WAY < row.at) {
            violations
                .push(format!("I14: {} was called {end}, and the vendor had made it before", row.subject));
        }
    }
}

fn agrees(of: &Payment, flow: &Flow, left: i64) -> bool {
    let (gone, arrived, net) = (flow.gone(), flow.arrived, of.net);
    match of.state.as_str() {
        "queued" => (gone, arrived) == (0, 0),
        "sending" | "unknown" | "review" | "processing" | "on_hold" | "unclaimed" => {
            [0, net].contains(&gone) && [0, net].contains(&arrived)
        }
        "transferred" => gone == net && arrived == 0,
        "payout_sending" | "payout_unknown" | "in_transit" => gone == left && [0, net].contains(&arrived),
        "payout_review" => [0, left].contains(&gone) && [0, net].contains(&arrived),
        "success" => gone == left && arrived == net,
        "failed" | "recalled" | "returned" | "blocked" | "refunded" => gone == 0 && arrived == 0,
        "reversed" => gone == 0 && [0, net].contains(&arrived),
        "written_off" => [0, left].contains(&gone) && arrived == 0,
        // A schedule set by someone else may have paid out the payee's balance, which polling finds.
        "payout_failed" | "payout_canceled" | "recalling" => [0, left].contains(&gone) && arrived == 0,
        _ => false,
    }
}
