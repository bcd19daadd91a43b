//! Schemas of what the API takes and returns: enums, ids, days, amounts. An enum's values always come from the list that
//! the parser uses, so that the description cannot differ. Not here: the enums of a single feature, which are beside
//! their parser.

use std::borrow::Cow;

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{
    AdditionalProperties, AnyOfBuilder, KnownFormat, ObjectBuilder, OneOfBuilder, Ref, Schema, SchemaFormat,
    SchemaType, Type,
};
use utoipa::{PartialSchema, ToSchema};

use payout::access::Role;
use payout::batch::BatchStatus as Batch;
use payout::eligibility::{Code, PayeeStanding as Standing, Scope, Who};
use payout::ids::{BatchId, PersonId};
use payout::money::{self, Money, Vendor};
use payout::notice::Notice;
use payout::reward::{PaymentType as Kind, RewardType as Given, Shown};
use payout::tax::Form;
use payout::transaction::{Detail, Status};

use crate::mail::Language as Tongue;

/// Declares schemas, each with its description.
macro_rules! shapes {
    ($($name:ident, $told:literal => $schema:expr;)+) => {$(
        #[doc = $told]
        #[derive(Debug)]
        #[allow(dead_code, reason = "it stands for a schema and has no values")]
        pub struct $name;

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                let schema: utoipa::openapi::schema::ObjectBuilder = $schema;
                utoipa::openapi::schema::Schema::Object(schema.description(Some($told)).build()).into()
            }
        }

        impl utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($name))
            }
        }
    )+};
}

pub(crate) use shapes;

/// A string.
pub fn text() -> ObjectBuilder {
    ObjectBuilder::new().schema_type(Type::String)
}

/// A string that is one of these values.
pub fn one_of(words: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    text().enum_values(Some(words))
}

/// A string of one or more of these values, separated by commas.
pub fn some_of(words: impl IntoIterator<Item = &'static str>) -> ObjectBuilder {
    let words: Vec<&str> = words.into_iter().collect();
    let word = format!("({})", words.join("|"));
    text().pattern(Some(format!("^{word}(,{word})*$")))
}

/// A string that is not blank, with a maximum length in characters.
pub fn filled(most: usize) -> ObjectBuilder {
    text().min_length(Some(1)).max_length(Some(most)).pattern(Some(r"\S"))
}

/// An id with this prefix.
pub fn id(prefix: &str) -> ObjectBuilder {
    text().pattern(Some(format!("^{prefix}[0-7][0-9A-HJKMNP-TV-Z]{{25}}$")))
}

/// The accepted dates, by year.
const DAYS_OF_YEARS: &str = "^(19[7-9]|20[0-9]|21[0-9])[0-9]-[0-9]{2}-[0-9]{2}$";

fn day() -> ObjectBuilder {
    text().format(Some(SchemaFormat::KnownFormat(KnownFormat::Date))).pattern(Some(DAYS_OF_YEARS))
}

/// The roles of partners.
pub const PARTNERS_ROLES: [Role; 2] = [Role::Partner, Role::PartnerAdmin];

shapes! {
    VendorName, "The vendor that carries the money." => one_of(Vendor::ALL.iter().map(|it| it.as_str()));
    PaymentType, "Who is paid: the partner, or their company." => one_of(Kind::ALL.iter().map(|it| it.as_str()));
    RewardType, "What is given." => one_of(Given::ALL.iter().map(|it| it.as_str()));
    RewardStatus, "How a reward stands." => one_of(Shown::ALL.iter().map(|it| it.as_str()));
    RewardStatuses, "One status of rewards, or several with commas between." => some_of(Shown::ALL.iter().map(|it| it.as_str()));
    TransactionStatus, "How a payment stands." => one_of(Status::ALL.iter().map(|it| it.as_str()));
    TransactionDetail, "The finer word beside a payment's status." => one_of(Detail::ALL.iter().map(|it| it.as_str()));
    PayeeStanding, "Whether we deal with a partner or an account at all." => one_of(Standing::ALL.iter().map(|it| it.as_str()));
    BatchStatus, "How a batch stands." => one_of(Batch::ALL.iter().map(|it| it.as_str()));
    BlockerScope, "What a blocker is about." => one_of(Scope::ALL.iter().map(|it| it.as_str()));
    WhoActs, "Who must act." => one_of(Who::ALL.iter().map(|it| it.as_str()));
    NoticeName, "What a mail tells." => one_of(Notice::ALL.iter().map(|it| it.as_str()));
    Language, "A language in which partners are written to." => one_of(Tongue::ALL.iter().map(|it| it.as_str()));
    RoleName, "What a person or an API key is for." => one_of(Role::ALL.iter().map(|it| it.as_str()));
    PartnerRole, "What a partner sees: their own, or all of their company." => one_of(PARTNERS_ROLES.iter().map(|it| it.as_str()));
    TaxForm, "A form by which a payee says who they are to the tax office." => one_of(Form::ALL.iter().map(|it| it.as_str()));
    CurrencyCode, "A currency (ISO 4217)." => one_of(money::Currency::all().map(money::Currency::code));
    DecimalAmount, "A positive decimal with at most the currency's digits, such as `420.00`." => text().pattern(Some("^[0-9]{1,16}(\\.[0-9]{1,3})?$"));
    SignedAmount, "A decimal with all the currency's digits; less than nothing has a minus before it." => text().pattern(Some("^-?[0-9]+(\\.[0-9]{1,3})?$"));
    PointsGiven, "Whole points." => ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(Money::MAX_MINOR));
    Day, "A day, UTC, of the years 1970 to 2199." => day();
    Year, "A calendar year from 1970 on." => text().pattern(Some("^(19[7-9][0-9]|[2-9][0-9]{3})$"));
    RewardId, "Our id of a reward." => id(payout::ids::RewardId::PREFIX);
    BatchIdOnly, "Our id of a batch." => id(BatchId::PREFIX);
    KeyId, "Our id of an API key." => id(PersonId::PREFIX);
    Digest, "What a batch comes to, as it was shown." => text().pattern(Some("^sha256:[0-9a-f]{64}$"));
    Cursor, "Where a page ended: `next` of the page before, unchanged." => text().pattern(Some("^[A-Za-z0-9_-]+$"));
    ShortReason, "Why, in at most 500 characters." => filled(500);
    LongReason, "How it was found out, in at most 1,000 characters." => filled(1_000);
    Reference, "The reference of a payment that was made outside, in at most 200 characters." => filled(200);
    ExternalId, "Your own id: 1 to 200 bytes, without signs that nobody sees." => text().min_length(Some(1)).max_length(Some(200));
}

/// Why something cannot be paid: every code with its message.
#[derive(Debug)]
pub struct BlockerCode;

impl PartialSchema for BlockerCode {
    fn schema() -> RefOr<Schema> {
        let lines = Code::ALL.iter().map(|code| format!("- `{}`: {}", code.as_str(), code.message()));
        let sentence = format!("Why something cannot be paid.\n\n{}", lines.collect::<Vec<_>>().join("\n"));
        let words = one_of(Code::ALL.iter().map(|it| it.as_str()));
        Schema::Object(words.description(Some(sentence)).build()).into()
    }
}

impl ToSchema for BlockerCode {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("BlockerCode")
    }
}

/// A day, or a timestamp (RFC 3339).
#[derive(Debug)]
pub struct DayOrMoment;

impl PartialSchema for DayOrMoment {
    fn schema() -> RefOr<Schema> {
        let moment = text().format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)));
        let message = "A day of the years 1970 to 2199, or a moment (RFC 3339).";
        let either = AnyOfBuilder::new().item(day().build()).item(moment.build()).description(Some(message));
        Schema::AnyOf(either.build()).into()
    }
}

impl ToSchema for DayOrMoment {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("DayOrMoment")
    }
}

/// An amount in a request, with its currency.
#[derive(Debug)]
pub struct MoneyGiven;

/// A property that refers to a schema by name.
fn named<T: ToSchema>() -> RefOr<Schema> {
    Ref::from_schema_name(T::name()).into()
}

fn nothing() -> RefOr<Schema> {
    Schema::Object(ObjectBuilder::new().schema_type(SchemaType::Type(Type::Null)).build()).into()
}

fn money() -> ObjectBuilder {
    ObjectBuilder::new()
        .property("value", named::<DecimalAmount>())
        .required("value")
        .property("currency", named::<CurrencyCode>())
        .required("currency")
        .additional_properties(Some(AdditionalProperties::FreeForm(false)))
}

fn of_money(schemas: &mut Vec<(String, RefOr<Schema>)>) {
    schemas.push((DecimalAmount::name().into_owned(), DecimalAmount::schema()));
    schemas.push((CurrencyCode::name().into_owned(), CurrencyCode::schema()));
}

impl PartialSchema for MoneyGiven {
    fn schema() -> RefOr<Schema> {
        let message = "Money: a positive decimal with at most the currency's digits.";
        Schema::Object(money().description(Some(message)).build()).into()
    }
}

impl ToSchema for MoneyGiven {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("MoneyGiven")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        of_money(schemas);
    }
}

/// Money or points.
#[derive(Debug)]
pub struct MoneyOrPoints;

impl PartialSchema for MoneyOrPoints {
    fn schema() -> RefOr<Schema> {
        let points = ObjectBuilder::new()
            .property("points", named::<PointsGiven>())
            .required("points")
            .property("value", nothing())
            .property("currency", nothing())
            .additional_properties(Some(AdditionalProperties::FreeForm(false)));
        let message =
            "Money or points: `{\"value\":\"420.00\",\"currency\":\"USD\"}` or `{\"points\":350}`, not both.";
        let either = OneOfBuilder::new()
            .item(money().property("points", nothing()).build())
            .item(points.build())
            .description(Some(message));
        Schema::OneOf(either.build()).into()
    }
}

impl ToSchema for MoneyOrPoints {
    fn name() -> Cow<'static, str> {
        Cow::Borrowed("Value")
    }

    fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
        of_money(schemas);
        schemas.push((PointsGiven::name().into_owned(), PointsGiven::schema()));
    }
}
