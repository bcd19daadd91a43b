//! Dramas: multi-step failure sequences that random choice would rarely produce in order, each with its own payee.
//! Which steps happen, and how long they last, is random. Not here: the expected results.

use super::Author;

impl Author {
    pub(super) fn drama(&mut self) {
        // Adding a payee asks the vendor about the destination, so the vendor must answer.
        self.line("heal");
        match self.below(22) {
            0 | 1 => self.called_not_made(),
            16 => self.lied_to(),
            17 | 18 => self.storage_fails(),
            19 => self.swept_before_it_is_paid(),
            20 | 21 if self.processes > 1 => self.clock_jumps(),
            2 => self.held_in_doubt(),
            3 | 4 => self.moves_while_it_waits(),
            5 => self.safe_mode(),
            6 => self.another_account(),
            7 => self.clock_is_wrong(),
            8 => self.lists_are_late(),
            9 => self.fees_are_told_late(),
            10 => self.taken_for_another(),
            11 => self.swept(),
            12 => self.clawed_back(),
            13 if self.processes > 1 => self.old_answer(),
            14 if self.processes > 1 => self.old_news(),
            _ => self.disconnected(),
        }
    }

    /// Adds a payee at this vendor with one reward, to be paid in a batch of its own.
    fn one_payment(&mut self, vendor: &str, scene: Option<&str>) -> (String, String) {
        let who = self.joins(vendor, scene);
        let reward = self.earned(&who, "25.00 USD approved");
        (who, reward)
    }

    fn pays(&mut self, reward: &str) {
        let number = self.batches;
        self.batches += 1;
        self.line(format!("maybe batch B{number} {reward}"));
        self.line(format!("try release B{number}"));
        self.line(format!("try pay B{number}"));
        self.line(format!("try delete B{number}"));
    }

    fn lives(&mut self, spans: &[&str]) {
        let span = self.of(spans);
        self.line(format!("live {span}"));
    }

    fn away(&mut self, vendor: &str) {
        self.line(format!("vendor {vendor} 503 on any times 100000"));
    }

    /// Nobody can find out whether a payment was made. Two people say it was not, and its rewards are released. Then
    /// the vendor is back, and may or may not report it.
    fn called_not_made(&mut self) {
        let (who, reward) = self.one_payment("paypal", None);
        let untold = self.chance.one_in(2);
        if untold {
            self.line("vendor paypal webhook lost times 500");
        }
        self.pays(&reward);
        self.line("vendor paypal answer lost on batch");
        self.line("tick dispatch");
        self.away("paypal");
        self.line(format!("hold {who} on"));
        self.lives(&["2 minutes", "40 minutes"]);
        if self.chance.one_in(3) {
            self.line(format!("maybe refresh {who}"));
        }
        self.line("heal");
        self.line(format!("try settle {who} not-made"));
        self.line(format!("try settle {who} not-made by other"));
        self.line(format!("hold {who} off"));
        self.line(format!("try return {who}"));
        if untold {
            // If PayPal never reported it, nobody could know.
            self.line(format!("maybe webhook {who} succeeded"));
        }
        self.lives(&["1 minutes", "10 minutes"]);
        self.pays(&reward);
        self.lives(&["10 minutes", "2 days"]);
    }

    /// The vendor may have paid and is down. Meanwhile the payee is put on hold for a long time.
    fn held_in_doubt(&mut self) {
        let vendor = self.of(&["stripe", "paypal"]);
        let (who, reward) = self.one_payment(vendor, None);
        self.pays(&reward);
        let fault = self.of(&["503", "answer lost", "executed 500", "other amount", "repeated", "repeated"]);
        let call = if vendor == "stripe" { self.of(&["transfer", "payout"]) } else { "batch" };
        // Once, or often enough that it is resent during the hold.
        let times = self.of(&["1", "1", "6"]);
        self.line(format!("vendor {vendor} {fault} on {call} times {times}"));
        if self.chance.one_in(2) {
            self.line(format!("vendor {vendor} webhook lost times 20"));
        }
        self.line("tick dispatch");
        self.line(format!("hold {who} on"));
        self.lives(&["10 minutes", "3 hours"]);
        if self.chance.one_in(2) {
            // A refresh while the gate is closed must not mark it failed.
            self.line(format!("try refresh {who}"));
            self.lives(&["10 minutes", "3 hours"]);
        }
        self.line(format!("hold {who} off"));
        self.line(format!("try refresh {who}"));
        self.lives(&["10 minutes", "1 days"]);
    }

    /// A destination changes while its payment is waiting.
    fn moves_while_it_waits(&mut self) {
        let vendor = self.of(&["stripe", "paypal"]);
        let scene = if vendor == "stripe" && self.chance.one_in(2) { Some("slow") } else { None };
        let (who, reward) = self.one_payment(vendor, scene);
        self.pays(&reward);
        if scene.is_some() {
            self.line("tick dispatch");
        }
        let to = match self.below(2) {
            0 => format!("paypal {who}-new@example.com"),
            _ => format!("stripe acct_{who}_new"),
        };
        self.line(format!("try change {who} {to}"));
        self.lives(&["1 hours", "3 days", "6 days"]);
    }

    /// The database is older than payments made since.
    fn safe_mode(&mut self) {
        let vendor = self.of(&["stripe", "paypal"]);
        let scene = self.of(&["closed", "slow", "unclaimed"]);
        let (who, reward) = self.one_payment(vendor, Some(scene));
        self.pays(&reward);
        self.lives(&["1 minutes", "1 hours"]);
        let (other, waits) = self.one_payment(vendor, None);
        if self.chance.one_in(2) {
            self.pays(&waits);
        }
        self.line("safe-mode on");
        self.line("later 1 minutes");
        self.lives(&["10 minutes", "3 hours"]);
        let what = self.of(&["resubmit", "return", "cancel", "refresh"]);
        self.line(format!("try {what} {who}"));
        self.pays(&waits);
        self.line(format!("try return {other}"));
        self.lives(&["10 minutes", "1 days"]);
        self.line("safe-mode off");
        self.pays(&waits);
    }

    /// The credentials are swapped for another account's for a while.
    fn another_account(&mut self) {
        let vendor = self.of(&["stripe", "stripe", "paypal"]);
        let (who, reward) = self.one_payment(vendor, None);
        self.pays(&reward);
        if self.chance.one_in(2) {
            let call = if vendor == "stripe" { "transfer" } else { "batch" };
            self.line(format!("vendor {vendor} answer lost on {call}"));
            self.line("tick dispatch");
        }
        self.line(format!("switch {vendor} other-account"));
        self.line(format!("maybe webhook {who} paid keyless"));
        self.lives(&["5 minutes", "30 minutes"]);
        self.line(format!("maybe webhook {who} paid keyless"));
        self.line("heal");
        self.line(format!("maybe reconnect {vendor}"));
        self.lives(&["10 minutes", "1 days"]);
    }

    /// Our clock is wrong, and Stripe's answer to a payout is unusable.
    fn clock_is_wrong(&mut self) {
        let (_, reward) = self.one_payment("stripe", None);
        let off = self.of(&["100", "90", "-100", "70"]);
        self.line(format!("clock 1 ahead {off}"));
        self.pays(&reward);
        let fault = self.of(&["executed 500", "stored 500", "html", "other amount"]);
        self.line(format!("vendor stripe {fault} on payout"));
        self.lives(&["20 minutes", "1 hours"]);
        self.line(format!(
            "clock 1 ahead {}",
            if let Some(off) = off.strip_prefix('-') { off.to_owned() } else { format!("-{off}") }
        ));
    }

    /// A clock jumps ahead just before a bank payout is sent. Its answer is lost, and Stripe is down until the
    /// idempotency key may have expired, so the payout is searched for by its apparent send time.
    fn clock_jumps(&mut self) {
        let (_, reward) = self.one_payment("stripe", None);
        self.line("vendor stripe webhook lost times 500");
        self.pays(&reward);
        self.line("vendor stripe answer lost on payout");
        let (point, off) = (10 + self.below(12), self.of(&["100", "90", "600"]));
        self.line(format!("together loop dispatch on 2 sleeps {point} turns 1"));
        self.line(format!("clock 2 ahead {off}"));
        self.line("together wake on 2 turns 1");
        self.away("stripe");
        self.lives(&["25 hours", "30 hours"]);
        self.line("heal");
        self.lives(&["10 minutes", "1 hours"]);
        self.line(format!("clock 2 ahead -{off}"));
        self.lives(&["1 hours", "1 days"]);
    }

    /// Stripe's lists do not include objects it has just created.
    fn lists_are_late(&mut self) {
        let (_, reward) = self.one_payment("stripe", None);
        self.line("lists late");
        let call = self.of(&["transfer", "payout"]);
        self.line(format!("vendor stripe executed 500 on {call}"));
        if self.chance.one_in(2) {
            self.line("vendor stripe webhook lost times 20");
        }
        self.pays(&reward);
        self.lives(&["20 minutes", "1 hours"]);
        self.line("lists shown");
    }

    /// PayPal reports its fee later.
    fn fees_are_told_late(&mut self) {
        let (_, reward) = self.one_payment("paypal", None);
        self.line("fees hidden");
        self.pays(&reward);
        self.lives(&["10 minutes", "2 hours"]);
        self.line("fees shown");
    }

    /// Two payments of the same amount to one account: one is made, the other is not, and someone confuses them.
    fn taken_for_another(&mut self) {
        let (who, reward) = self.one_payment("stripe", None);
        self.pays(&reward);
        self.lives(&["5 minutes", "1 hours"]);
        let first = self.batches - 1;
        let again = self.earned(&who, "25.00 USD approved");
        self.line("vendor stripe webhook lost times 20");
        self.line("vendor stripe stored 500 on payout");
        self.pays(&again);
        self.line("tick dispatch");
        // Nobody can read Stripe's data until a person is asked.
        self.line("vendor stripe html on read times 100000");
        self.line("live 3 days");
        self.line("heal");
        self.line(format!("try settle {who} made as {who}@B{first}"));
        self.lives(&["10 minutes", "1 days"]);
    }

    /// Stripe's automatic schedule pays out money we were about to pay out.
    fn swept(&mut self) {
        let (who, reward) = self.one_payment("stripe", Some("slow"));
        self.pays(&reward);
        self.lives(&["2 minutes", "20 hours"]);
        self.line(format!("daily {who}"));
        self.lives(&["2 days", "4 days"]);
    }

    /// Bank payouts fail overnight, and Stripe's automatic schedule pays out the money of one of them. What is in the
    /// balance afterwards belongs to another payment.
    fn swept_before_it_is_paid(&mut self) {
        let (who, reward) = self.one_payment("stripe", None);
        let fault = self.of(&["503", "503", "503", "in use"]);
        self.line(format!("vendor stripe {fault} on payout times 100000"));
        self.pays(&reward);
        self.lives(&["2 minutes", "1 hours"]);
        self.line(format!("daily {who}"));
        self.line("live past midnight");
        let next = self.earned(&who, "25.00 USD approved");
        self.pays(&next);
        self.lives(&["2 minutes", "10 minutes"]);
        self.line("heal");
        self.lives(&["1 days", "4 days"]);
    }

    /// A clawback of a paid reward, deducted from a claim that others try to pay by name.
    fn clawed_back(&mut self) {
        let vendor = self.of(&["stripe", "paypal"]);
        let (who, reward) = self.one_payment(vendor, None);
        self.pays(&reward);
        self.lives(&["10 minutes", "1 days"]);
        let number = 1_000_000 + self.below(1_000_000);
        self.line(format!("maybe clawback C{number} {reward} 5.00"));
        let next = self.earned(&who, "25.00 USD approved");
        self.line("later 1 minutes");
        self.pays(&next);
        self.lives(&["10 minutes", "1 days"]);
    }

    /// An account's owner revokes our access while money is on its way there.
    fn disconnected(&mut self) {
        let (who, reward) = self.one_payment("stripe", Some("slow"));
        self.pays(&reward);
        self.lives(&["1 minutes", "25 hours"]);
        self.line(format!("disconnect {who}"));
        self.lives(&["2 days", "4 days"]);
        if self.chance.one_in(2) {
            self.line(format!("give-access {who}"));
        }
    }

    /// A process stalls while holding a rejection; meanwhile another sends the same bytes and they are accepted.
    fn old_answer(&mut self) {
        let (who, reward) = self.one_payment("paypal", Some("refused"));
        self.pays(&reward);
        let point = 10 + self.below(8);
        self.line(format!("together loop dispatch on 2 sleeps {point} turns 1"));
        self.line(format!("mend {who}"));
        self.line("vendor paypal webhook lost times 20");
        self.line("later 40 seconds");
        self.line("vendor paypal answer lost on batch");
        self.line("tick dispatch by 1");
        self.line("together wake on 2 turns 1");
        self.lives(&["5 minutes", "1 days"]);
    }

    /// A process stalls while holding an answer from PayPal that PayPal then changes.
    fn old_news(&mut self) {
        let (who, reward) = self.one_payment("paypal", Some("slow"));
        self.pays(&reward);
        self.line("tick dispatch by 2");
        self.line("later 71 hours");
        self.line("later 59 minutes");
        let point = 1 + self.below(9);
        self.line(format!("together refresh {who} on 1 sleeps {point} turns 1"));
        self.line("live 9 minutes");
        self.line("together wake on 1 turns 1");
        self.lives(&["5 minutes", "1 days"]);
    }

    /// Validly signed events with false content.
    fn lied_to(&mut self) {
        let scene = self.of(&["slow", "closed", "held"]);
        let scene = Some(scene).filter(|_| !self.chance.one_in(3));
        let (who, reward) = self.one_payment("stripe", scene);
        self.pays(&reward);
        self.lives(&["1 minutes", "26 hours"]);
        for _ in 0..2 {
            let claim = self.of(&["paid", "failed"]);
            self.line(format!("maybe webhook {who} {claim}"));
            self.line("live 1 minutes");
            self.line(format!("agrees {who}"));
        }
    }

    /// Vendor events cannot be stored for a while.
    fn storage_fails(&mut self) {
        let vendor = self.of(&["stripe", "stripe", "paypal"]);
        let scene = if self.chance.one_in(2) { Some("closed") } else { None };
        let (_, reward) = self.one_payment(vendor, scene);
        self.pays(&reward);
        self.line("tick dispatch");
        self.line("later 10 seconds");
        for _ in 0..3 {
            let at = 1 + self.below(12);
            self.line(format!("together deliver errs {at} turns 1"));
            self.line("tick dispatch");
        }
        self.lives(&["10 minutes", "2 days"]);
    }
}
