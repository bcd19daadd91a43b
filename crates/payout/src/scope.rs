//! What an API key may be used for, besides its role: reading, all writing, or one kind of writing.
//!
//! Not here: which route takes which scope (the route table), and what a role may do (`access`). A scope never allows
//! what the role does not.

use crate::Refusal;
use crate::access::{Permission, Role, allows};
use crate::spelling::spelled;

spelled! {
    /// The scope of an API key.
    Scope {
        /// Read what the role may read.
        Read = "read",
        /// Everything the role may do, except reading.
        Write = "write",
        /// Enter, decide about and import rewards.
        RewardsWrite = "rewards:write",
        /// Manage partners, accounts, programs, activities and payees' destinations.
        PayeesWrite = "payees:write",
        /// Create, change and delete draft batches.
        BatchesPrepare = "batches:prepare",
        /// Pay batches; resubmit, return and close payments.
        Pay = "pay",
        /// Act as the second person where two are needed.
        Release = "release",
        /// Change settings, except lowering safeguards.
        Settings = "settings",
    }
}

impl Scope {
    /// The narrowest scope for routes that need this permission and change something. `write` where there is no
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

    /// The permission a key's role needs for the scope to be useful.
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

    /// A one-line description, for whoever chooses a scope.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Read => "read what the role may read",
            Self::Write => "everything the role may do; choose narrower scopes where they suffice",
            Self::RewardsWrite => "enter, decide and import rewards",
            Self::PayeesWrite => "enter partners, accounts, programs, activities and payees' payout profiles",
            Self::BatchesPrepare => "create, change and delete draft payouts",
            Self::Pay => "pay payouts, and resubmit, return or close payments",
            Self::Release => {
                "be the second person where two are needed; it counts as the person who made the key"
            }
            Self::Settings => "change settings, but not weaken a safeguard",
        }
    }
}

/// The scopes of an API key.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Scopes(u16);

impl Scopes {
    /// The set of these scopes.
    #[must_use]
    pub fn of(scopes: &[Scope]) -> Self {
        Self(scopes.iter().fold(0, |all, scope| all | bit(*scope)))
    }

    /// Parses comma-separated names.
    ///
    /// # Errors
    /// The first name that is not a scope.
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

    /// The known scopes in a stored text. A newer version may have stored others, which allow nothing.
    #[must_use]
    pub fn kept(text: &str) -> Self {
        Self(text.split(',').filter_map(Scope::parse).fold(0, |all, scope| all | bit(scope)))
    }

    /// Whether the set contains `scope`.
    #[must_use]
    pub fn has(self, scope: Scope) -> bool {
        self.0 & bit(scope) != 0
    }

    /// Each scope in the set, in the order of [`Scope::ALL`].
    pub fn each(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.iter().copied().filter(move |scope| self.has(*scope))
    }

    /// The stored form: names separated by commas.
    #[must_use]
    pub fn text(self) -> String {
        self.each().map(Scope::as_str).collect::<Vec<_>>().join(",")
    }

    /// Whether anything can be changed with them.
    #[must_use]
    pub fn writes(self) -> bool {
        self.each().any(|scope| scope != Scope::Read)
    }

    /// Whether they allow a route with this scope: `write` allows everything but reading.
    #[must_use]
    pub fn open(self, asked: Scope) -> bool {
        self.has(asked) || (asked != Scope::Read && self.has(Scope::Write))
    }

    /// Whether, with this role, they can move money or change the rules for it: what makes such a key worth stealing.
    #[must_use]
    pub fn pay_or_administer(self, role: Role) -> bool {
        let any = |scopes: &[Scope]| scopes.iter().any(|scope| self.has(*scope));
        (allows(role, Permission::Pay) && any(&[Scope::Write, Scope::Pay, Scope::Release]))
            || (allows(role, Permission::Administer) && any(&[Scope::Write, Scope::Settings]))
    }

    /// Checks whether a key with this role may have them.
    ///
    /// # Errors
    /// `no_scope` if there is none; `wrong_scope` for one the role could never use.
    pub fn fit(self, role: Role) -> Result<(), Refusal> {
        if self == Self::default() {
            let message =
                "Choose read, write, or one of the narrower scopes: a key without a scope can do nothing.";
            return Err(Refusal::new("no_scope", message).at("scopes"));
        }
        let useless = |scope: &Scope| scope.permission().is_some_and(|needed| !allows(role, needed));
        let Some(scope) = self.each().find(useless) else { return Ok(()) };
        let has = |role: &Role| scope.permission().is_some_and(|needed| allows(*role, needed));
        let roles: Vec<&str> = Role::ALL.iter().copied().filter(has).map(Role::as_str).collect();
        let message = format!(
            "The scope {} is of no use to the role {}. Roles that can use it: {}.",
            scope.as_str(),
            role.as_str(),
            roles.join(", ")
        );
        Err(Refusal::new("wrong_scope", message).at("scopes"))
    }
}

/// The scope's bit in the set.
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

    /// Which role can use which scope, and with which a key can pay or administer, printed.
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
