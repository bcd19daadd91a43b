//! Payments a vendor makes twice with one idempotency key, because it forgot the key sooner than documented. The books
//! contain one object; the other never replaces it, and is settled separately.

use super::{close, play};
use crate::scenarios::Stage;

/// The other transfer has left the payee's balance to their bank: two people confirm it, and it is deducted from the
/// payee's next claim. A repeated report has no effect.
const GONE: &str = "
partner   bo     stripe acct_bo
reward    R1     bo   20.00  approved
batch     B1     R1
vendor    stripe webhook late 2 hours times 500
pay       B1
vendor    stripe answer lost
tick      dispatch
keys      forgotten
live      1 hour
expect    bo     success
live      3 hours
why       bo     payment_contradicted
daily     bo
live      3 days
refuse    vendor_has_it  settle bo not-made
settle    bo     made first
why       bo     payment_contradicted
settle    bo     made first by other
why       bo
expect    bo     success
live      3 days
why       bo
sent      bo     40.00
books     payable(bo) 20.00   vendor_balance -40.00
";

/// Both PayPal batches pay. The item that the books do not contain settles it.
const AT_PAYPAL: &str = "
partner   ana    paypal ana@example.com
reward    R1     ana  20.00  approved
batch     B1     R1
vendor    paypal webhook late 2 hours times 500
pay       B1
vendor    paypal answer lost
tick      dispatch
keys      forgotten
live      1 hour
expect    ana    success
why       ana
live      3 hours
expect    ana    success
why       ana    payment_contradicted
refuse    vendor_has_it  settle ana not-made
settle    ana    made first
why       ana
live      1 day
expect    ana    success
why       ana
requests  ana    2 executed 2
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_transfer_whose_money_is_gone_takes_two_people() {
    let mut stage = Stage::open("made_twice_and_gone", 1).await;
    let played = play(&mut stage, GONE).await;
    close(stage, played).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_batch_is_settled_by_its_item() {
    let mut stage = Stage::open("made_twice_at_paypal", 1).await;
    let played = play(&mut stage, AT_PAYPAL).await;
    close(stage, played).await;
}
