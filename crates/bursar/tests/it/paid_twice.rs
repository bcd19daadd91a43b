//! A payment that was paid twice before anybody could know: the first was called not made, its reward was paid again, and only
//! then does the vendor tell of the first one. What holds for every scenario cannot hold here, because the money has left twice;
//! so the books and the payee's next claim are looked at one by one.

use crate::scenarios::Stage;

const STORY: &str = "
partner   ana    paypal ana@example.com
reward    R1     ana  20.00  approved
batch     B1     R1
vendor    paypal webhook lost times 500
pay       B1
vendor    paypal answer lost
tick      dispatch
vendor    paypal 503 on any times 100000
later     29 days
tick      dispatch
heal
settle    ana    not-made
return    ana
batch     B2     R1
pay       B2
live      1 minute
expect    ana    success
books     payable(ana) 0.00   vendor_balance -20.40
webhook   ana@B1 succeeded
tick      intake
later     30 seconds
tick      settle
refuse    transaction_closed  resubmit ana@B1
settle    ana@B1 made
expect    ana@B1 success
live      1 minute
books     payable(ana) 20.00   in_flight 0.00   vendor_balance -40.80   vendor_fees 0.80
reward    R2     ana  50.00  approved
batch     B3     all
pay       B3
live      1 minute
sent      ana@B3 30.00
books     payable(ana) 0.00
";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_paid_twice_is_taken_off_the_next_claim() {
    let mut stage = Stage::open("paid_twice", 1).await;
    for line in STORY.lines().filter(|line| !line.trim().is_empty()) {
        if let Err(told) = stage.one(line).await {
            stage.close(Err(told)).await;
            return;
        }
    }
    stage.close(Ok(())).await;
}
