//! The portal's texts, one table per language. A language with a missing text does not compile. Not here: the texts of gates
//! and reasons, which are shared with mails (`mail::partner_text`).

mod de;
mod en;
mod es;
mod fr;
mod ja;

use std::fmt;
use std::sync::LazyLock;

use askama::filters::HtmlSafe;

use payout::eligibility::Code;
use payout::money::Sum;
use payout::reward::Shown;
use payout::transaction::{State, Status};

use crate::mail::partner_text;

/// A language of the portal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Language {
    /// English.
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
    /// Japanese.
    Japanese,
    /// A pseudo-locale: altered English, in which any text missing from the table stands out.
    Pseudo,
}

impl Language {
    /// The languages to choose from.
    pub const OFFERED: [Self; 5] = [Self::English, Self::German, Self::French, Self::Spanish, Self::Japanese];

    /// The value of the `lang` attribute and of the partner's setting.
    pub fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
            Self::Japanese => "ja",
            Self::Pseudo => "en-XA",
        }
    }

    /// The language's own name for itself.
    pub fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
            Self::French => "Français",
            Self::Spanish => "Español",
            Self::Japanese => "日本語",
            Self::Pseudo => "[Ƥşḗŭḓǿ]",
        }
    }

    /// The language of a tag such as `de-AT`, if the portal supports it.
    pub fn parse(tag: &str) -> Option<Self> {
        let tag = tag.trim().to_ascii_lowercase();
        if tag == "en-xa" || tag == "pseudo" {
            return Some(Self::Pseudo);
        }
        let first = tag.split('-').next().unwrap_or("");
        Self::OFFERED.into_iter().find(|language| language.code() == first)
    }

    /// The first supported language in `Accept-Language`. Browsers list preferred languages first.
    pub fn accepted(header: &str) -> Self {
        let tags = header.split(',').map(|part| part.split(';').next().unwrap_or(""));
        tags.filter(|tag| !tag.trim().is_empty()).find_map(Self::parse).unwrap_or(Self::English)
    }

    /// The table of texts.
    pub fn words(self) -> &'static Words {
        static PSEUDO: LazyLock<Words> = LazyLock::new(|| en::WORDS.map(disguised));
        match self {
            Self::English => &en::WORDS,
            Self::German => &de::WORDS,
            Self::French => &fr::WORDS,
            Self::Spanish => &es::WORDS,
            Self::Japanese => &ja::WORDS,
            Self::Pseudo => &PSEUDO,
        }
    }

    /// The corresponding language of mails.
    fn of_mails(self) -> crate::mail::Language {
        match self {
            Self::English | Self::Pseudo => crate::mail::Language::En,
            Self::German => crate::mail::Language::De,
            Self::French => crate::mail::Language::Fr,
            Self::Spanish => crate::mail::Language::Es,
            Self::Japanese => crate::mail::Language::Ja,
        }
    }

    /// A gate and its remedy, in the words of the partner's mails.
    pub fn blocker(self, code: Code) -> (String, String) {
        self.in_words(partner_text::gate(self.of_mails(), code))
    }

    /// Why a payment did not arrive, by reason code, and the remedy.
    pub fn reason(self, code: &str) -> (String, String) {
        self.in_words(partner_text::reason(self.of_mails(), code))
    }

    fn in_words(self, words: partner_text::PartnerText) -> (String, String) {
        match self {
            Self::Pseudo => (other_letters(words.message), other_letters(words.remedy)),
            Self::English | Self::German | Self::French | Self::Spanish | Self::Japanese => {
                (words.message.to_owned(), words.remedy.to_owned())
            }
        }
    }

    /// Whether to show texts that exist in English only: the verbs' refusals and vendors' messages.
    pub fn reads_english(self) -> bool {
        match self {
            Self::English => true,
            Self::German | Self::French | Self::Spanish | Self::Japanese | Self::Pseudo => false,
        }
    }

    /// An amount in this language's format, followed by its currency.
    pub fn cash(self, amount: impl Into<Sum>) -> Amount {
        Amount { sum: amount.into(), language: self }
    }
}

/// An amount to format in a language.
#[derive(Clone, Copy)]
pub struct Amount {
    sum: Sum,
    language: Language,
}

impl HtmlSafe for Amount {}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.language.of_mails().decimal(&self.sum.decimal());
        write!(f, "<span class=\"m\">{text} <small>{}</small></span>", self.sum.currency)
    }
}

/// Leaked on purpose: there is one such table per process.
fn disguised(text: &str) -> &'static str {
    other_letters(text).leak()
}

fn other_letters(text: &str) -> String {
    let mut inside = false;
    let letters = text.chars().map(|letter| {
        inside = (inside || letter == '{') && letter != '}';
        match letter {
            _ if inside => letter,
            'a' => 'á',
            'e' => 'ḗ',
            'i' => 'ī',
            'o' => 'ǿ',
            'u' => 'ŭ',
            'n' => 'ƞ',
            's' => 'ş',
            't' => 'ŧ',
            other => other,
        }
    });
    let letters: String = letters.collect();
    format!("[{letters}~]")
}

macro_rules! table {
    ($($name:ident),+ $(,)?) => {
        /// Every text of the portal. Placeholders in braces are filled in when it is shown.
        #[derive(Clone, Copy)]
        pub struct Words {
            $(pub $name: &'static str),+
        }

        impl Words {
            fn map(&self, change: impl Fn(&str) -> &'static str) -> Self {
                Self { $($name: change(self.$name)),+ }
            }

            /// Each text with its name.
            #[cfg(test)]
            fn each(&self) -> Vec<(&'static str, &'static str)> {
                vec![$((stringify!($name), self.$name)),+]
            }
        }
    };
}

table! {
    // Layout
    portal, support, skip, menu, sign_out, language, change, pages, next_page, back, go_on,
    home, rewards, payouts, profile, tax, account,
    // Signing in
    login, login_intro, login_help, login_wrong, login_slow, login_link, sign_in, email, password,
    join, join_intro, join_button, join_gone, new_password, repeat_password, show_password, password_rule, not_the_same,
    prove, prove_intro, prove_none,
    // Home
    hello, home_under, todo, todo_none, step_login, done, steps_done, next_label, payout_from, year, all_years,
    stops, until, money, money_none, currency, waiting, on_its_way, paid_in,
    came_back, in_review, why_waiting, next_payout, in_preparation, one_reward, some_rewards, request, request_help,
    requested, request_sent, last_payouts, all_payouts, act_profile, act_tax, for_you, for_company,
    who_you, who_company, who_them, who_us, who_vendor, who_nobody,
    // Rewards
    rewards_own, rewards_company, rewards_none, number, earned_by, for_what, amount, status, date, to_company,
    why_not, points,
    reward_submitted, reward_in_review, reward_approved, reward_rejected, reward_void, reward_in_payout,
    reward_paid, reward_expired, taken_back, taken_back_from, came_off, some_taken_back,
    // Payouts
    payouts_none, payouts_under, payouts_own, payouts_others, tab_own, tab_others,
    to, statement, statements, statement_of, statement_note, statement_none, made_on, receiver,
    company, total, print, asked, asked_says, ask_again, earned, fee, begun_on, paid_on, paid_outside, covered,
    pending, pending_processing, payout_ready, success, failed, payout_failed,
    is_queued, is_sent, is_unknown, is_processing, is_on_hold, is_unclaimed, is_transferred, is_in_transit,
    is_success, is_failed, is_bank_refused, is_given_up, is_coming_back, is_returned, is_closed, told_them,
    // The payout profile
    profile_under, profile_now, profile_none, individual, organization, vendor, ready, not_ready, cooling,
    change_told, change_at_once, company_told, company_ask, company_nobody, barred_off, barred_role, barred_vendor,
    mend_at_stripe, mend_told, mend_what, mend_refused, other_account, other_account_told, needs_you,
    via_stripe, stripe_told, stripe_begin, stripe_go_on, stripe_check, stripe_ready,
    stripe_ready_from, stripe_unused, stripe_checking, stripe_unfinished, state_refused, refused,
    vendor_refused, vendor_silent, check_this, country, country_help,
    via_paypal, paypal_told, paypal_address, paypal_send, paypal_sent, paypal_waiting,
    confirm, confirm_told, confirm_not_you, confirm_button, confirm_gone, confirmed,
    // The tax report
    tax_under, tax_none, tax_on_file, tax_until, tax_expired, tax_number, tax_not_needed, tax_which, tax_us, tax_entity,
    yes, no, person, entity, tax_show, tax_form, tax_name, tax_tin_us, tax_tin_foreign, tax_signed, tax_certify_w9,
    tax_certify_w8, tax_sign, tax_filed, tax_advice,
    // Account
    own_under, current_password, change_password, password_changed, password_wrong, sessions, this_one,
    sign_out_elsewhere, signed_out_elsewhere, language_saved, unknown_device, since, since_somewhere, end_session,
    signed_out_there,
    // Passwords
    password_long, password_names_you, password_common, forgotten, forgotten_intro, forgotten_send, forgotten_sent,
    forgotten_no_mail, choose_password, choose_intro,
    // The second factor
    factor, factor_intro, factor_none, factor_must, factor_since, factor_begin, factor_renew,
    factor_codes_new, factor_off, factor_scan, factor_picture, factor_open, factor_secret,
    factor_code, factor_code_help, factor_confirm, factor_wrong, factor_used, factor_unreadable, factor_gone,
    factor_codes, factor_codes_told, factor_kept, factor_is_off, factor_app_remove, factor_app_removed, factor_app_needed,
    factor_required, code, code_intro,
    code_over, code_lost,
    // Passkeys, and the page of the second factor
    factor_app, factor_app_told, codes_left, recovery_code, again_intro, again_password, again_no_password,
    again_choose, again_at_provider, passkeys, passkeys_told,
    passkeys_not_here, passkey_add, passkey_remove, passkey_made, passkey_unused, passkey_new,
    passkey_new_told, passkey_name, passkey_name_help, passkey_make, passkey_no_script, passkey_use,
    passkey_change, passkey_sign_in, passkey_failed, passkey_wrong, passkey_added, passkey_removed, passkey_gone,
    passkey_last, passkey_most, code_passkey, code_instead,
}

impl Words {
    /// The label of a payment's status.
    pub fn status(&self, status: Status) -> &'static str {
        match status {
            Status::Pending => self.pending,
            Status::PendingProcessing => self.pending_processing,
            Status::PayoutReady => self.payout_ready,
            Status::Success => self.success,
            Status::Failed => self.failed,
            Status::PayoutFailed => self.payout_failed,
        }
    }

    /// Why a password is refused, by the refusal's code.
    pub fn password_refused(&self, code: &str) -> &'static str {
        match code {
            "password_too_long" => self.password_long,
            "password_names_you" => self.password_names_you,
            "password_common" => self.password_common,
            _ => self.password_rule,
        }
    }

    /// What a payment's state means for the partner.
    pub fn meaning(&self, state: State) -> &'static str {
        match state {
            State::Queued => self.is_queued,
            State::Sending | State::PayoutSending => self.is_sent,
            State::Unknown | State::PayoutUnknown | State::Review | State::PayoutReview => self.is_unknown,
            State::Processing => self.is_processing,
            State::OnHold => self.is_on_hold,
            State::Unclaimed => self.is_unclaimed,
            State::Transferred => self.is_transferred,
            State::InTransit => self.is_in_transit,
            State::Success => self.is_success,
            State::Failed => self.is_failed,
            State::PayoutFailed | State::PayoutCanceled => self.is_bank_refused,
            State::WrittenOff => self.is_given_up,
            State::Recalling => self.is_coming_back,
            State::Recalled | State::Returned | State::Blocked | State::Refunded | State::Reversed => {
                self.is_returned
            }
        }
    }

    /// The label of a reward's status.
    pub fn reward(&self, status: Shown) -> &'static str {
        match status {
            Shown::Submitted => self.reward_submitted,
            Shown::InReview => self.reward_in_review,
            Shown::Approved => self.reward_approved,
            Shown::Rejected => self.reward_rejected,
            Shown::Void => self.reward_void,
            Shown::InPayout => self.reward_in_payout,
            Shown::Paid => self.reward_paid,
            Shown::Expired => self.reward_expired,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use payout::money::{Currency, Money};

    fn holes(text: &str) -> Vec<&str> {
        let mut holes: Vec<&str> =
            text.split('{').skip(1).map(|rest| rest.split('}').next().unwrap()).collect();
        holes.sort_unstable();
        holes
    }

    #[test]
    fn every_text_has_the_holes_of_the_english_one_and_words_of_its_own() {
        let english = en::WORDS.each();
        for language in Language::OFFERED.into_iter().chain([Language::Pseudo]) {
            let table = language.words().each();
            let mut same = 0;
            for ((name, text), (_, original)) in table.iter().zip(&english) {
                assert!(!text.trim().is_empty(), "{name} is empty in {}", language.name());
                assert_eq!(holes(text), holes(original), "{name} in {}", language.name());
                same += usize::from(text == original);
            }
            // A few texts are identical: names, and words that two languages share.
            let most = if language == Language::English { table.len() } else { 4 };
            assert!(same <= most, "{same} texts of {} are the English ones", language.name());
        }
    }

    #[test]
    fn a_browser_is_answered_in_the_first_of_its_languages_that_is_spoken() {
        let rows = [
            ("de-AT,de;q=0.9,en;q=0.8", Language::German),
            ("pt-BR,fr;q=0.5", Language::French),
            ("ja", Language::Japanese),
            ("xx, *;q=0.1", Language::English),
            ("", Language::English),
        ];
        for (header, expected) in rows {
            assert_eq!(Language::accepted(header), expected, "{header}");
        }
        assert_eq!(Language::parse("en-XA"), Some(Language::Pseudo));
        assert_eq!(Language::parse("pt"), None);
    }

    #[test]
    fn amounts_are_written_as_the_language_writes_them() {
        let money = Money::new(-123_456_750, Currency::parse("EUR").unwrap());
        let written = |language: Language| language.cash(money).to_string();
        assert!(written(Language::English).contains(">−1,234,567.50 <"));
        assert!(written(Language::German).contains(">−1.234.567,50 <"));
        assert!(written(Language::French).contains(">−1\u{202f}234\u{202f}567,50 <"));
        assert_eq!(Language::English.words().each().len(), Language::Pseudo.words().each().len());
    }
}
