//! The languages of mails and their number formats. Not here: the texts (`built_in`).

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Language {
    En,
    De,
    Fr,
    Es,
    Ja,
    /// English with every letter changed, for tests: unchanged text was not marked for translation.
    Pseudo,
}

impl Language {
    /// The languages a partner may choose.
    pub const ALL: [Self; 5] = [Self::En, Self::De, Self::Fr, Self::Es, Self::Ja];

    /// The spelling in the database and the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Es => "es",
            Self::Ja => "ja",
            Self::Pseudo => "qps",
        }
    }

    /// Parses [`Language::as_str`].
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().chain([Self::Pseudo]).find(|language| language.as_str() == text)
    }

    /// The language for a tag such as `de`, `de-AT` or `pt_BR`; English if unsupported.
    pub fn of(written: Option<&str>) -> Self {
        let first = written.and_then(|text| text.split(['-', '_']).next()).unwrap_or("");
        Self::parse(&first.to_lowercase()).unwrap_or(Self::En)
    }

    /// The language's name in itself.
    pub fn label(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::De => "Deutsch",
            Self::Fr => "Français",
            Self::Es => "Español",
            Self::Ja => "日本語",
            Self::Pseudo => "Pseudo",
        }
    }

    /// The thousands separator and the decimal mark.
    pub fn marks(self) -> (char, char) {
        match self {
            Self::En | Self::Ja | Self::Pseudo => (',', '.'),
            Self::De | Self::Es => ('.', ','),
            Self::Fr => ('\u{202f}', ','),
        }
    }

    /// Formats an amount such as `-1234567.50 USD` for this language; anything else stays as it is.
    pub fn amount(self, written: &str) -> String {
        let (number, unit) = written.split_once(' ').unwrap_or((written, ""));
        if !number.trim_start_matches('-').starts_with(|letter: char| letter.is_ascii_digit()) {
            return written.to_owned();
        }
        let number = self.decimal(number);
        if unit.is_empty() { number } else { format!("{number} {unit}") }
    }

    /// Formats `-1234567.50` with thousands separators.
    pub fn decimal(self, decimal: &str) -> String {
        let (group, point) = self.marks();
        let (sign, digits) = decimal.strip_prefix('-').map_or(("", decimal), |rest| ("−", rest));
        let (whole, rest) = digits.split_once('.').unwrap_or((digits, ""));
        let mut text = sign.to_owned();
        for (place, digit) in whole.chars().enumerate() {
            if place > 0 && (whole.len() - place).is_multiple_of(3) {
                text.push(group);
            }
            text.push(digit);
        }
        if !rest.is_empty() {
            text.push(point);
            text.push_str(rest);
        }
        text
    }
}
