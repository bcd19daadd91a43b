//! `/settings/payout`.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};
use utoipa::ToSchema;

use payout::Refusal;
use payout::access::Permission;
use payout::batch::FeesPaidBy;

use crate::app::App;
use crate::ops::settings::{self, Amount, Document, FeeTable, LimitsDocument, TaxThreshold};
use crate::web::kit::extract::Json;
use crate::web::kit::json::{etag, if_match};
use crate::web::kit::problem::Problem;
use crate::web::kit::route::{Access, Route, get, put};
use crate::web::kit::session::CurrentActor;
use crate::web::kit::shapes;

const PATH: &str = "/api/v1/settings/payout";

pub fn routes() -> Vec<Route> {
    vec![
        get(PATH, Access::May(Permission::Read), read)
            .tagged()
            .says("The payout settings, with their ETag")
            .answers::<Document>(200),
        put(PATH, Access::May(Permission::Administer), write)
            .tagged()
            .takes_tag()
            .says("Change the payout settings; what is not named keeps its value")
            .takes::<Change>()
            .answers::<Document>(200),
    ]
}

shapes::shapes! {
    FeesPaidByName, "Who bears the vendor's fee." => shapes::one_of(FeesPaidBy::ALL.iter().map(|it| it.as_str()));
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = PayoutSettingsChange)]
struct Change {
    enabled: Option<bool>,
    #[schema(value_type = Option<Vec<shapes::VendorName>>)]
    vendors: Option<Vec<String>>,
    us_tax_tracking: Option<bool>,
    two_person_release: Option<bool>,
    #[schema(value_type = Option<FeesPaidByName>)]
    fees_paid_by: Option<String>,
    fees: Option<Vec<FeeTable>>,
    #[schema(maximum = 744)]
    cooling_off_hours: Option<u32>,
    earning_thresholds: Option<Vec<Amount>>,
    tax_thresholds: Option<Vec<TaxThreshold>>,
    #[schema(value_type = Option<LimitsDocument>)]
    limits: Option<Value>,
    typed_total_above: Option<Vec<Amount>>,
    #[schema(pattern = "^(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$")]
    fiscal_year_start: Option<String>,
    internal_recipients: Option<Vec<String>>,
    #[schema(value_type = Option<Vec<shapes::PartnerRole>>)]
    profile_roles: Option<Vec<String>>,
}

impl Change {
    fn over(&self, before: Document) -> Result<Document, Refusal> {
        Ok(Document {
            enabled: self.enabled.unwrap_or(before.enabled),
            vendors: self.vendors.clone().unwrap_or(before.vendors),
            us_tax_tracking: self.us_tax_tracking.unwrap_or(before.us_tax_tracking),
            two_person_release: self.two_person_release.unwrap_or(before.two_person_release),
            fees_paid_by: self.fees_paid_by.clone().unwrap_or(before.fees_paid_by),
            fees: self.fees.clone().unwrap_or(before.fees),
            cooling_off_hours: self.cooling_off_hours.unwrap_or(before.cooling_off_hours),
            earning_thresholds: self.earning_thresholds.clone().unwrap_or(before.earning_thresholds),
            tax_thresholds: self.tax_thresholds.clone().unwrap_or(before.tax_thresholds),
            limits: self.limits.clone().unwrap_or(before.limits),
            typed_total_above: self.typed_total_above.clone().unwrap_or(before.typed_total_above),
            fiscal_year_start: self.fiscal_year_start.clone().unwrap_or(before.fiscal_year_start),
            internal_recipients: self.internal_recipients.clone().unwrap_or(before.internal_recipients),
            profile_roles: self.profile_roles.clone().unwrap_or(before.profile_roles),
        })
    }
}

async fn read(State(app): State<App>) -> Result<Response, Problem> {
    let (document, version) = settings::read(&mut app.store.read().await?).await?;
    Ok(answer(&document, version))
}

async fn write(
    State(app): State<App>,
    CurrentActor(actor): CurrentActor,
    headers: HeaderMap,
    Json(change): Json<Change>,
) -> Result<Response, Problem> {
    match settings::save(&app, &actor, if_match(&headers), |before| change.over(before)).await {
        Ok((document, version)) => Ok(answer(&document, version)),
        Err(error) => {
            let problem = Problem::from(error);
            if problem.code() != "precondition_failed" {
                return Err(problem);
            }
            let (current, _) = settings::read(&mut app.store.read().await?).await?;
            Err(Problem::stale(json!(current)))
        }
    }
}

fn answer(document: &Document, version: i64) -> Response {
    ([(header::ETAG, etag(version))], axum::Json(document)).into_response()
}
