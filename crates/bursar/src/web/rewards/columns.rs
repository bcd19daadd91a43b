//! The columns of the rewards list: which exist, which are shown, and their fixed order.

/// A column of the list.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Column {
    Number,
    Owner,
    Type,
    Value,
    Program,
    Activity,
    Status,
    Created,
    Account,
    PaymentType,
    Currency,
    Expires,
    Decided,
    ExternalId,
    Batch,
}

/// How many are shown by default.
const USUAL: usize = 8;

impl Column {
    /// Every column in its order.
    pub const ALL: [Self; 15] = [
        Self::Number,
        Self::Owner,
        Self::Type,
        Self::Value,
        Self::Program,
        Self::Activity,
        Self::Status,
        Self::Created,
        Self::Account,
        Self::PaymentType,
        Self::Currency,
        Self::Expires,
        Self::Decided,
        Self::ExternalId,
        Self::Batch,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Number => "number",
            Self::Owner => "owner",
            Self::Type => "type",
            Self::Value => "value",
            Self::Program => "program",
            Self::Activity => "activity",
            Self::Status => "status",
            Self::Created => "created",
            Self::Account => "account",
            Self::PaymentType => "payment_type",
            Self::Currency => "currency",
            Self::Expires => "expires",
            Self::Decided => "decided",
            Self::ExternalId => "external_id",
            Self::Batch => "batch",
        }
    }

    pub fn words(self) -> &'static str {
        match self {
            Self::Number => "Number",
            Self::Owner => "Owner",
            Self::Type => "Reward Type",
            Self::Value => "Value",
            Self::Program => "Program",
            Self::Activity => "Reward Activity",
            Self::Status => "Status",
            Self::Created => "Created On",
            Self::Account => "Account",
            Self::PaymentType => "Payment Type",
            Self::Currency => "Currency",
            Self::Expires => "Expires On",
            Self::Decided => "Approved/Rejected On",
            Self::ExternalId => "External id",
            Self::Batch => "Batch",
        }
    }

    /// The sort order that its heading links to, if an index has the rewards in it.
    pub fn sort(self) -> Option<&'static str> {
        match self {
            Self::Number => Some("number"),
            Self::Value => Some("value"),
            Self::Created => Some("created_at"),
            Self::Owner
            | Self::Type
            | Self::Program
            | Self::Activity
            | Self::Status
            | Self::Account
            | Self::PaymentType
            | Self::Currency
            | Self::Expires
            | Self::Decided
            | Self::ExternalId
            | Self::Batch => None,
        }
    }
}

/// The columns with these names, or the default ones if none are named; always includes the number, which links to the
/// reward.
pub fn chosen(names: &[String]) -> Vec<Column> {
    let named: Vec<&str> = names.iter().flat_map(|names| names.split(',')).collect();
    match named.is_empty() {
        true => Column::ALL[..USUAL].to_vec(),
        false => {
            let wanted = |column: &Column| *column == Column::Number || named.contains(&column.name());
            Column::ALL.into_iter().filter(wanted).collect()
        }
    }
}

/// The names that are not columns.
pub fn unknown(names: &[String]) -> impl Iterator<Item = &str> {
    let known = |name: &&str| Column::ALL.iter().any(|column| column.name() == *name);
    names.iter().flat_map(|names| names.split(',')).filter(move |name| !known(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_have_one_order_and_the_number_is_never_hidden() {
        let names = ["batch,status".to_owned(), "owner".to_owned()];
        assert_eq!(chosen(&names), [Column::Number, Column::Owner, Column::Status, Column::Batch]);
        assert_eq!(chosen(&[]).len(), USUAL);
        assert_eq!(unknown(&["owner,colour".to_owned()]).collect::<Vec<_>>(), ["colour"]);
    }
}
