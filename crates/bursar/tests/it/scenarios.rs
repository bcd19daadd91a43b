//! Scenarios: payment flows as plain text files, each played to its end. The top of `crates/sim/src/stage.rs` explains the
//! language. Not here: pages and the API, which have their own tests.

use std::path::{Path, PathBuf};

use bursar::store::transactions::{self, Filter};
use bursar::work::replay;
pub use bursar_sim::stage::{Stage, say_of_found};

use crate::nodes::{beside, run};

macro_rules! scenarios {
    ($($name:ident),+ $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            play(stringify!($name)).await;
        })+

        const LISTED: &[&str] = &[$(stringify!($name)),+];
    };
}

scenarios![
    swept_over_midnight_while_in_doubt,
    let_go_in_the_first_minutes_of_a_day,
    swept_and_not_listed_behind_the_brake,
    fetched_back_after_two_days_and_one_outage,
    other_money_is_swept_and_refused,
    swept_and_named_before_it_is_listed,
    put_back_while_parked_then_paid_and_reversed,
    called_not_made_and_proven_while_the_next_waits,
    called_not_made_and_proven_in_another_payment,
    called_not_made_and_proven_beside_a_draft,
    called_not_made_and_proven_beside_one_in_review,
    called_not_made_and_named_while_paypal_is_silent,
    called_not_made_and_reversed_in_the_dashboard,
    swept_and_then_reversed,
    money_comes_back_while_stripe_cannot_be_read,
    called_by_a_word_nobody_knows,
    clock_ahead_by_days_when_it_was_promised,
    clock_ahead_by_days_and_stripe_away,
    put_back_and_shown_again_after_their_word,
    swept_and_reversed_while_hidden,
    swept_while_it_is_fetched_back,
    fetched_back_after_it_was_swept,
    swept_before_a_doubtful_payout_is_sent_again,
    swept_while_a_payout_waited,
    called_not_made_and_swept_beside_an_equal_amount,
    reversed_while_payouts_are_in_words_nobody_knows,
    swept_and_reversed_over_a_weekend,
    reversed_while_hidden_after_days_in_safe_mode,
    called_not_made_and_in_a_payment_that_is_parked,
    called_not_made_and_in_a_payment_that_waits_for_funds,
    given_up_and_swept_while_reads_cannot_be_read,
    swept_together_and_sent_back_unread,
    put_back_and_reversed_after_their_word,
    said_before_the_vendor_said_more,
    swept_and_reversed_is_settled_as_made,
    given_up_though_the_account_cannot_be_read,
    reversed_and_its_payment_in_one_payout_of_the_schedule,
    called_not_made_while_stripe_is_asked,
    hidden_by_a_clock_that_jumps,
    a_key_first_used_by_a_clock_that_was_ahead,
    two_looks_by_two_clocks,
    put_back_before_it_was_paid_and_reversed,
    put_back_after_stripe_paid_it_out,
    put_back_twice,
    put_back_to_somebody_entered_since,
    put_back_and_a_success_came_back_since,
    put_back_to_somebody_who_changes_their_destination,
    put_back_after_the_account_was_changed,
    put_back_after_it_had_come_back,
    put_back_after_a_transfer_had_failed,
    put_back_and_the_other_of_the_same_request,
    put_back_and_refreshed_beside_a_lost_request,
    put_back_while_it_was_a_success,
    put_back_and_made_twice,
    put_back_before_another_account,
    put_back_and_numbered_anew,
    put_back_and_swept_beside_an_equal_amount,
    put_back_and_what_was_found_is_not_shown,
    put_back_after_two_lost_batches,
    put_back_after_two_attempts_had_failed,
    put_back_after_an_item_had_failed,
    put_back_while_a_destination_cools_off,
    not_seen_is_told_once,
    more_of_a_transfer_comes_back,
    put_back_and_settled_by_the_item_that_failed,
    put_back_and_settled_by_the_lost_item,
    put_back_by_a_clock_that_was_ahead,
    put_back_before_it_was_fetched_back,
    put_back_while_money_is_fetched_back,
    put_back_and_asked_again,
    put_back_and_paid_under_another_key,
    reversed_while_a_payout_is_in_doubt,
    reversed_while_a_payout_waits,
    bank_mended_unheard,
    clock_set_back_in_an_outage,
    denied_and_made_by_the_same_key,
    made_twice,
    named_while_not_shown,
    payout_reversed,
    put_back_half_a_batch_is_listed,
    put_back_a_lost_batch_lists_its_items_late,
    put_back_then_returned,
    put_back_looked_for_on_every_leg,
    put_back_holds_the_payee_not_the_destination,
    put_back_an_account_connected_since,
    put_back_while_a_person_is_asked,
    called_not_made_and_fetched_back,
    called_not_made_and_sent_again,
    called_not_made_and_shown_by_now,
    swept_in_a_word_nobody_knows,
    a_balance_that_cannot_be_read,
    given_up_and_swept_after_a_month,
    other_money_is_swept,
    part_back_and_the_rest_swept,
    refused_and_then_swept,
    unfunded_and_then_swept,
    found_and_reversed_partly,
    looked_for_in_vain,
    a_vendor_that_is_away_is_waited_for,
    answers_that_cannot_be_used,
    part_found_by_the_balance,
    refused_though_available,
    resubmit_looks_at_the_transfer,
    reversed_wholly_in_transit,
    a_database_from_before,
    another_account_beside_a_contradiction,
    not_made_is_said_of_a_batch,
    paid_by_the_bank_after_it_was_paid_outside,
    settled_beside_a_contradiction,
    named_before_it_is_listed,
    mark_written_over_and_named,
    mark_written_over,
    what_was_said_of_an_earlier_attempt,
    paid_after_all_is_not_written_off,
    parked_money_is_not_reversed,
    parked_money_is_swept,
    parked_money_is_swept_after_its_bank_was_mended,
    parked_money_while_stripe_is_silent,
    given_up_and_swept_while_stripe_is_silent,
    returned_while_stripe_is_silent,
    swept_money_comes_back_and_is_swept_again,
    written_off_money_is_swept,
    a_gate_closes_before_pay,
    a_gate_closes_while_the_vendor_is_away,
    a_worker_falls_asleep,
    another_account_is_connected,
    another_account_beneath_us,
    account_disconnected,
    account_disconnected_in_flight,
    account_disconnected_before_payout,
    answer_lost_at_paypal,
    answer_lost_at_stripe,
    answers_that_cannot_be_believed,
    balance_topped_up_at_paypal,
    balance_topped_up_at_stripe,
    bank_account_taken_away,
    batch_lists_its_items_late,
    batch_success_holds_failures,
    clawback_comes_off_the_next_claim,
    clawback_parked_alone,
    clawback_whose_id_is_taken,
    clawed_back,
    clock_ahead,
    clock_ahead_when_nobody_had_measured,
    contradiction_is_settled_as_made,
    company_is_paid,
    connection_cut_in_the_body,
    credentials_refused,
    credentials_refused_while_in_doubt,
    deleted_in_safe_mode,
    denied_batch,
    destination_changed_back,
    destination_changed_before_payout,
    destination_changed_before_send,
    fee_by_its_table,
    event_never_delivered,
    fee_once_a_month,
    fee_told_late,
    found_by_our_own_key,
    funds_not_available_yet,
    happy_path_at_both_vendors,
    held_after_a_lost_answer,
    held_between_pay_and_send,
    held_between_transfer_and_payout,
    held_while_in_doubt,
    killed_before_anything_is_sent,
    killed_between_commit_and_send,
    killed_between_send_and_record,
    late_return_found_by_poll,
    limits_of_the_operator,
    many_payments_to_one_account,
    marked_as_paid_outside,
    mixed_currencies,
    money_missing,
    money_swept_to_another_payment,
    freed_while_an_event_waits,
    moved_after_its_rewards_were_freed,
    odd_currencies,
    not_made_by_two_people,
    old_news_from_a_sleeping_worker,
    one_bad_item,
    one_bad_item_after_a_doubt,
    paid_then_failed,
    paid_after_it_was_fetched_back,
    parked_money_paid_otherwise,
    parked_money_reversed_partly,
    partner_bears_the_fee,
    pay_against_delete,
    pay_twice,
    payout_canceled,
    payout_finds_no_funds,
    payout_failed_then_resubmitted,
    payout_refused_at_once,
    paypal_500s,
    paypal_chunks_of_a_thousand,
    refreshed_by_hand,
    refused_after_a_doubt_at_stripe,
    resubmit_at_a_closed_gate,
    return_to_pool,
    return_to_pool_refused,
    safe_mode,
    safe_mode_refuses,
    paid_out_by_stripes_schedule,
    settled_by_hand,
    several_gates_in_one_batch,
    shared_destination,
    stored_500_all_done,
    stored_500_at_the_payout,
    stored_500_nothing_done,
    storm_of_429,
    tax_year,
    the_module_is_switched_off,
    told_of_what_happens,
    told_that_it_is_stuck,
    token_expires,
    transfer_reversed_after_success,
    transfer_reversed_before_payout,
    part_reversed_in_transit,
    transfer_reversed_partly,
    transfer_reversed_while_parked,
    two_pays_on_one_balance,
    two_people,
    two_workers,
    unclaimed_cancel_answer_lost,
    unclaimed_cancel_killed,
    unclaimed_canceled,
    unclaimed_claimed_before_cancel,
    unclaimed_then_returned,
    under_the_threshold,
    vendor_away_for_a_day,
    webhook_body_not_believed,
    webhook_doubled,
    webhook_early,
    webhook_early_and_answer_lost,
    webhook_forged,
    webhook_lost,
    webhook_reordered,
    webhooks_after_a_resubmission,
    written_off_and_reversed,
    reconciled,
    reconciled_unclaimed,
    reconciled_in_parts,
    movement_missing,
    moved_by_hand,
    amounts_differ,
    fee_not_in_the_books,
    moved_and_not_heard_of,
    adopted_payout_is_contradicted,
    rest_is_swept_after_giving_up,
    rest_is_swept_while_fetched_back,
    rest_of_a_transfer_is_swept,
    rest_swept_and_reversed_while_contradicted,
    reversed_while_its_payout_waits,
    reversed_while_its_reversal_waits,
    twin_found_while_fetched_back,
    called_not_made_and_reversed,
    contradicted_while_a_reversal_is_in_doubt,
    debt_is_not_spent,
    decided_before_midnight,
    fetched_back_over_midnight,
    rest_is_swept_while_it_waits,
    reversed_before_the_sweep_is_listed,
];

#[test]
fn every_file_is_played() {
    let files = std::fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let texts = files.filter(|path| path.extension().is_some_and(|ending| ending == "txt"));
    for text in texts {
        let name = text.file_stem().unwrap().to_string_lossy().into_owned();
        assert!(LISTED.contains(&name.as_str()), "{name}.txt is not listed, so nobody plays it");
    }
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/scenarios")
}

async fn play(name: &str) {
    let text = std::fs::read_to_string(folder().join(format!("{name}.txt"))).unwrap();
    let mut stage = Stage::for_text(name, &text).await;
    let outcome = stage.play(&format!("{name}.txt"), &text).await;
    let outcome = outcome.and(balanced(&stage).await);
    let outcome = outcome.and(replayed(&stage, &text).await);
    stage.close(outcome).await;
}

/// Someone changed a payment in the database: its stored evidence leads to another status.
#[tokio::test]
async fn a_status_that_nothing_kept_explains_is_found() {
    let mut stage = Stage::open("replayed_wrong", 9).await;
    for line in ["partner bo stripe acct_bo", "reward R1 bo 10.00 approved", "batch B1 R1", "pay B1"] {
        stage.one(line).await.unwrap();
    }
    stage.one("live 1 minute").await.unwrap();
    stage.one("expect bo success").await.unwrap();
    let replay = replay::of(&mut stage.world.app.store.read().await.unwrap(), "PT-000001").await.unwrap();
    assert!(replay.agrees() && !replay.is_wrong(), "{replay:?}");
    let mut database = beside(&stage.world).await;
    run(&mut database, "UPDATE payout_transaction SET state = 'payout_failed'").await.unwrap();
    let replay = replay::of(&mut stage.world.app.store.read().await.unwrap(), "PT-000001").await.unwrap();
    assert!(replay.is_wrong(), "{replay:?}");
    run(&mut database, "UPDATE payout_transaction SET state = 'success'").await.unwrap();
    stage.close(Ok(())).await;
}

/// Replaying the stored evidence of each payment must not contradict its stored state.
async fn replayed(stage: &Stage, text: &str) -> Result<(), String> {
    // Forged events are stored as well, and their content is false.
    let made_up = |line: &str| line.starts_with("webhook ") && !line.contains(" again");
    if text.lines().any(made_up) {
        return Ok(());
    }
    let mut db = stage.world.app.store.read().await.unwrap();
    let all = transactions::list(&mut db, &Filter::default(), 10_000).await.unwrap();
    let mut wrong = Vec::new();
    // One member of a crowd is enough: they are all alike.
    for one in all.iter().take(20) {
        let replay = replay::of(&mut db, &one.label()).await.unwrap();
        if replay.is_wrong() {
            let steps: Vec<String> = replay.steps.iter().map(|step| format!("{step:?}")).collect();
            let stored = one.state.as_str();
            wrong.push(format!(
                "{} is {stored}, and its bytes lead to {}:\n    {}",
                one.label(),
                replay.derived.as_str(),
                steps.join("\n    ")
            ));
        }
    }
    if wrong.is_empty() { Ok(()) } else { Err(wrong.join("\n  ")) }
}

/// Exports for accounting programs sum to zero as well.
pub async fn balanced(stage: &Stage) -> Result<(), String> {
    let messages = crate::exports::unbalanced(&stage.world).await;
    if messages.is_empty() { Ok(()) } else { Err(messages.join("\n  ")) }
}
