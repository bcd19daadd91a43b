//! Logins and API keys: signing in and out, second factors, a person's own account, and managing who has access. Not
//! here: deciding and writing (`ops`).

mod account;
mod api;
mod api_keys;
mod forgotten_password;
mod join;
mod list;
mod login;
mod passkey_button;
mod passkeys;
mod password;
mod preferences;
mod provider;
mod qr;
mod second_factor;
mod show;
mod sign_in;
mod sign_in_policy;
mod step_up;

use crate::web::kit::route::Route;
pub use account::{
    Changed, Device, EndSessionForm, Passwords, change_password, devices, end as end_session, to_change,
};
pub use passkey_button::Button;
pub use preferences::zones;
pub use second_factor::{is_on_the_way, set_it_up};
pub use step_up::{
    StepUpRequest as ProofAsked, ask as ask_for_proof, by_provider, take as take_proof, to_go_on,
};

pub fn routes() -> Vec<Route> {
    [
        sign_in::routes(),
        provider::routes(),
        login::routes(),
        password::routes(),
        second_factor::routes(),
        passkeys::routes(),
        forgotten_password::routes(),
        list::routes(),
        show::routes(),
        api_keys::routes(),
        join::routes(),
        sign_in_policy::routes(),
        preferences::routes(),
        api::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
