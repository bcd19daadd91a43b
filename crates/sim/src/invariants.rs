//! What must hold after every run: invariants I01 to I30 as far as the database and the vendors' books show them, each
//! a function with its number and a description. They share no code with the program except the format of ids: rows are
//! read with this crate's own SQL, money from the simulator's books. Not here: how a run is produced; docs/proof.md
//! says which invariants cannot be checked here and what checks those.

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

/// The violated invariants; empty if there are none.
pub async fn broken(outside: &Outside, world: &World) -> Vec<String> {
    broken_by(outside, Known::of(world)).await
}

/// The same for a program that runs elsewhere, given what is known besides its database.
pub async fn broken_by(outside: &Outside, known: Known) -> Vec<String> {
    let sight = Sight::of(outside, known).await;
    let mut violations = Vec::new();
    money::all(&sight, &mut violations);
    payments::all(&sight, &mut violations);
    gates::all(&sight, &mut violations);
    news::all(&sight, &mut violations);
    people::all(&sight, &mut violations);
    violations
}
