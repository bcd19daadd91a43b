//! What must hold after every life: the invariants I01 to I30 as far as the database and the vendors' books show them, each a
//! function with its number and its sentence. They share nothing with the program but how ids are written: rows are read
//! by statements of this crate, money is read off the books of the simulator. What is deliberately not here: how a life
//! came to be; docs/proof.md says which invariants cannot be seen from here and what shows those.

mod flows;
mod gates;
mod money;
mod news;
mod payments;
mod people;
mod sight;

use crate::outside::Outside;
use crate::world::World;
pub use sight::Known;
use sight::Sight;

/// What does not hold; nothing, where all is well.
pub async fn broken(outside: &Outside, world: &World) -> Vec<String> {
    broken_by(outside, Known::of(world)).await
}

/// The same of a program that runs elsewhere, by what is known beside its database.
pub async fn broken_by(outside: &Outside, known: Known) -> Vec<String> {
    let sight = Sight::of(outside, known).await;
    let mut told = Vec::new();
    money::all(&sight, &mut told);
    payments::all(&sight, &mut told);
    gates::all(&sight, &mut told);
    news::all(&sight, &mut told);
    people::all(&sight, &mut told);
    told
}
