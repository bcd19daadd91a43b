//! What an API key may be used for, beside its role: reading, writing as a whole, or one kind of writing.
//!
//! What is deliberately not here: which route takes which scope (the route table says it), and what a role may do
//! (`access`). A scope never allows what the role does not.

use crate::Refusal;
use crate::access::{Permission, Role, allows};
use crate::spelling::spelled;

spelled! {
    /// What an API key may be used for.
    Scope {
        /// Read what its role may read.
        Read = "read",
        /// Everything that its role may do, reading aside.
        Write = "write",
        /// Enter, decide and import rewards.
        RewardsWrite = "rewards:write",
        /// Enter partners, accounts, programs, activities, and where payees are paid.
        PayeesWrite = "payees:write",
        /// Form, change and delete drafts of payouts.
        BatchesPrepare = "batches:prepare",
        /// Pay, and move payments on.
        Pay = "pay",
        /// Be the second person where two are needed.
        Release = "release",
        /// Change settings that weaken no safeguard.
        Settings = "settings",
    }
}

impl Scope {
    /// The narrowest scope that opens what asks for a permission and changes something. What only `write` opens has no
    /// narrower one.
    #[must_use]
    pub fn of(permission: Permission) -> Self {
        match permission {
            Permission::Review => Self::RewardsWrite,
            Permission::ManagePartners => Self::PayeesWrite,
            Permission::Prepare => Self::BatchesPrepare,
            Permission::Pay => Self::Pay,
            Permission::Administer => Self::Settings,
            Permission::Read | Permission::Audit | Permission::Evidence | Permission::ReadOwn => Self::Write,
        }
    }

    /// What a key's role must be allowed for the scope to be of any use.
    #[must_use]
    pub fn permission(self) -> Option<Permission> {
        match self {
            Self::Read | Self::Write => None,
            Self::RewardsWrite => Some(Permission::Review),
            Self::PayeesWrite => Some(Permission::ManagePartners),
            Self::BatchesPrepare => Some(Permission::Prepare),
            Self::Pay | Self::Release => Some(Permission::Pay),
            Self::Settings => Some(Permission::Administer),
        }
    }

    /// What it is for, in a line, for whoever chooses.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Read => "read what the role may read",
            Self::Write => "everything the role may do; choose narrower ones where they are enough",
            Self::RewardsWrite => "enter, decide and import rewards",
            Self::PayeesWrite => {
                "enter partners, accounts, programs and activities, and where payees are paid"
            }
            Self::BatchesPrepare => "form, change and delete drafts of payouts",
            Self::Pay => "pay payouts, and resubmit, return or close payments",
            Self::Release => "be the second person where two are needed; it counts as whoever made the key",
            Self::Settings => "change settings, but weaken no safeguard",
        }
    }
}

/// The scopes of a key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Scopes(u16);

impl Scopes {
    /// These.
    #[must_use]
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |all, scope| all | bit(*scope)))
    }

    /// Reads names with commas between.
    ///
    /// # Errors
    /// The first name that is no scope.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut all = Self::default();
        for name in text.split(',').map(str::trim) {
            match Scope::parse(name) {
                Some(scope) => all.0 |= bit(scope),
                None => return Err(name.to_owned()),
            }
        }
        Ok(all)
    }

    /// Those of a text that are known here; a newer version may have written others, which then allow nothing.
    #[must_use]
    pub fn kept(text: &str) -> Self {
        Self(text.split(',').filter_map(Scope::parse).fold(0, |all, scope| all | bit(scope)))
    }

    /// Whether this one is among them.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Each of them, in the order in which they are listed.
    pub fn each(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.has(*scope))
    }

    /// Their names with commas between, as they are kept.
    #[must_use]
    pub fn text(self) -> String {
        self.each().map(Scope::as_str).collect::<Vec<_>>().join(",")
    }

    /// Something can be changed with them.
    #[must_use]
    pub fn writes(self) -> bool {
        self.each().any(|scope| scope != Scope::Read)
    }

    /// Whether they open what asks for this scope: `write` opens everything that is no reading.
    #[must_use]
    pub fn open(self, asked: Scope) -> bool {
        self.has(asked) || (asked != Scope::Read && self.has(Scope::Write))
    }

    /// Money or the rules for it can be moved with them: what such a key is stolen for.
    #[must_use]
    pub fn pay_or_administer(self, role: Role) -> bool {
        let any = |scopes: &[Scope]| scopes.iter().any(|scope| self.has(*scope));
        (allows(role, Permission::Pay) && any(&[Scope::Write, Scope::Pay, Scope::Release]))
            || (allows(role, Permission::Administer) && any(&[Scope::Write, Scope::Settings]))
    }

    /// Whether a key of this role can have them.
    ///
    /// # Errors
    /// When there is none, or one that a key of this role could never use.
    pub fn fit(self, role: Role) -> Result<(), Refusal> {
        if self == Self::default() {
            let told = "Name read, write, or one of the narrower scopes: a key without any does nothing.";
            return Err(Refusal::new("no_scope", told).at("scopes"));
        }
        let useless = |scope: &Scope| scope.permission().is_some_and(|needed| !allows(role, needed));
        let Some(scope) = self.each().find(useless) else { return Ok(()) };
        let has = |role: &Role| scope.permission().is_some_and(|needed| allows(*role, needed));
        let roles: Vec<&str> = Role::ALL.iter().copied().filter(has).map(Role::as_str).collect();
        let told = format!(
            "The scope {} is of no use to the role {}. Roles that can use it: {}.",
            scope.as_str(),
            role.as_str(),
            roles.join(", ")
        );
        Err(Refusal::new("wrong_scope", told).at("scopes"))
    }
}

/// A scope's place in the set.
fn bit(scope: Scope) -> u16 {
    match scope {
        Scope::Read => 1,
        Scope::Write => 1 << 1,
        Scope::RewardsWrite => 1 << 2,
        Scope::PayeesWrite => 1 << 3,
        Scope::BatchesPrepare => 1 << 4,
        Scope::Pay => 1 << 5,
        Scope::Release => 1 << 6,
        Scope::Settings => 1 << 7,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scopes_are_read_as_they_are_written() {
        for text in ["read", "read,write", "read,write,release", "read,rewards:write,batches:prepare,pay"] {
            assert_eq!(Scopes::parse(text).unwrap().text(), text);
            assert_eq!(Scopes::kept(text).text(), text);
        }
        assert_eq!(Scopes::parse(" pay , read,read").unwrap().text(), "read,pay");
        assert_eq!(Scopes::parse("read,everything").unwrap_err(), "everything");
        assert_eq!(Scopes::parse("").unwrap_err(), "");
        assert_eq!(Scopes::kept("read,of a later version").text(), "read");
        let places: Vec<u16> = Scope::ALL.iter().map(|scope| bit(*scope)).collect();
        assert_eq!(places.iter().fold(0, |all, one| all | one).count_ones() as usize, Scope::ALL.len());
    }

    #[test]
    fn write_opens_everything_but_reading_and_a_narrow_one_itself_alone() {
        for asked in Scope::ALL {
            assert_eq!(Scopes::of(&[Scope::Write]).open(*asked), *asked != Scope::Read, "{asked:?}");
            for had in Scope::ALL.iter().filter(|had| **had != Scope::Write) {
                assert_eq!(Scopes::of(&[*had]).open(*asked), had == asked, "{had:?} {asked:?}");
            }
        }
        assert!(!Scopes::of(&[Scope::Read]).writes());
        assert!(Scopes::of(&[Scope::Read, Scope::Pay]).writes());
    }

    /// Which role can use which scope, and with which a key pays or administers, printed.
    #[test]
    fn who_can_use_what() {
        let mut table = String::new();
        for scope in Scope::ALL {
            let fits = |role: &&Role| Scopes::of(&[*scope]).fit(**role).is_ok();
            let mark = |role: Role| if Scopes::of(&[*scope]).pay_or_administer(role) { "!" } else { "" };
            let roles: Vec<String> = Role::ALL
                .iter()
                .filter(fits)
                .map(|role| format!("{}{}", role.as_str(), mark(*role)))
                .collect();
            table += &format!("{:<16} {}\n", scope.as_str(), roles.join(", "));
        }
        insta::assert_snapshot!(table, @r"
        read             admin, program_manager, preparer, payer, auditor, partner_admin, partner
        write            admin!, program_manager, preparer, payer!, auditor, partner_admin, partner
        rewards:write    admin, program_manager
        payees:write     admin, program_manager
        batches:prepare  admin, preparer, payer
        pay              admin!, payer!
        release          admin!, payer!
        settings         admin!
        ");
        assert_eq!(Scopes::default().fit(Role::Admin).unwrap_err().code, "no_scope");
        let refused = Scopes::of(&[Scope::Read, Scope::Pay]).fit(Role::Preparer).unwrap_err();
        assert_eq!(refused.code, "wrong_scope");
        assert!(refused.sentence.ends_with("Roles that can use it: admin, payer."), "{}", refused.sentence);
    }

    #[test]
    fn what_asks_for_a_permission_is_opened_by_a_scope_that_its_roles_can_use() {
        for permission in Permission::ALL {
            let scope = Scope::of(*permission);
            assert!(scope != Scope::Read, "reading changes nothing");
            assert!(scope.permission().is_none_or(|needed| needed == *permission), "{permission:?}");
        }
    }
}
