//! Who may do what: one policy for every page, API call and command.

use crate::Refusal;
use crate::spelling::spelled;

spelled! {
    /// The role of a person or an API key.
    Role {
        /// Everything, including people and settings.
        Admin = "admin",
        /// Reviews rewards; manages partners and programs.
        ProgramManager = "program_manager",
        /// Prepares batches.
        Preparer = "preparer",
        /// Prepares, releases and pays batches.
        Payer = "payer",
        /// Reads everything, changes nothing.
        Auditor = "auditor",
        /// A partner who may see their whole company's data.
        PartnerAdmin = "partner_admin",
        /// A partner who sees only their own data.
        Partner = "partner",
    }
}

spelled! {
    /// What a role may be allowed to do.
    Permission {
        /// Read everybody's rewards, batches, transactions, partners and reports.
        Read = "read",
        /// Enter, edit, approve, reject and import rewards.
        Review = "review",
        /// Manage partners, accounts, programs, activities and payout profiles.
        ManagePartners = "manage_partners",
        /// Create, change and delete draft batches.
        Prepare = "prepare",
        /// Release and pay batches; resubmit, return and close transactions.
        Pay = "pay",
        /// Change settings, vendors, people and API keys.
        Administer = "administer",
        /// Read the audit trail and check the invariants.
        Audit = "audit",
        /// Read the raw requests to the vendors and their raw answers.
        Evidence = "evidence",
        /// Read one's own data.
        ReadOwn = "read_own",
    }
}

/// Whether `role` has `permission`.
#[must_use]
pub fn allows(role: Role, permission: Permission) -> bool {
    let granted: &[Permission] = match role {
        Role::Admin => Permission::ALL,
        Role::ProgramManager => &[Permission::Read, Permission::Review, Permission::ManagePartners],
        Role::Preparer => &[Permission::Read, Permission::Prepare],
        Role::Payer => &[Permission::Read, Permission::Prepare, Permission::Pay],
        Role::Auditor => &[Permission::Read, Permission::Audit, Permission::Evidence],
        Role::PartnerAdmin | Role::Partner => &[Permission::ReadOwn],
    };
    granted.contains(&permission)
}

/// Whether this role can move money, say where it goes, or grant access, so that a stolen password must not be enough.
#[must_use]
pub fn needs_second_factor(role: Role) -> bool {
    let moves = [Permission::Pay, Permission::ManagePartners, Permission::Administer];
    moves.iter().any(|permission| allows(role, *permission))
}

impl Role {
    /// The name shown to people.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Admin => "Administrator",
            Self::ProgramManager => "Program manager",
            Self::Preparer => "Preparer",
            Self::Payer => "Payer",
            Self::Auditor => "Auditor",
            Self::PartnerAdmin => "Partner administrator",
            Self::Partner => "Partner",
        }
    }

    /// A one-line description, for whoever chooses a role.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Admin => "everything, people and settings included",
            Self::ProgramManager => "reviews rewards, enters partners and programs",
            Self::Preparer => "prepares payouts",
            Self::Payer => "prepares, releases and pays payouts",
            Self::Auditor => "reads everything, changes nothing",
            Self::PartnerAdmin => "a partner who sees their whole account",
            Self::Partner => "a partner who sees only their own data",
        }
    }

    /// Whether the role belongs to a partner.
    #[must_use]
    pub fn is_partners(self) -> bool {
        matches!(self, Self::Partner | Self::PartnerAdmin)
    }
}

/// A login whose role is to be changed or removed, with the facts the rules need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Their role now; `None` if they have no access.
    pub role: Option<Role>,
    /// Whether the actor is changing their own login.
    pub is_oneself: bool,
    /// How many other administrators can sign in.
    pub other_admins: usize,
}

/// Checks whether a login may get another role, or lose access (`None`). Nobody may remove their own access or give up
/// their own administrator role, and at least one administrator must remain.
///
/// # Errors
/// The [`Refusal`] for the rule it would break: `own_login`, `own_role` or `last_admin`.
pub fn may_become(held: Held, after: Option<Role>) -> Result<(), Refusal> {
    let stays_admin = after == Some(Role::Admin);
    if held.is_oneself && after.is_none() {
        let message = "You cannot remove your own access. Another administrator can.";
        return Err(Refusal::new("own_login", message));
    }
    if held.role != Some(Role::Admin) || stays_admin {
        return Ok(());
    }
    if held.is_oneself {
        let message = "You cannot give up your own administrator role. Another administrator can change it.";
        return Err(Refusal::new("own_role", message).at("role"));
    }
    if held.other_admins == 0 {
        let message = "This is the last administrator who can sign in. Add another one first.";
        return Err(Refusal::new("last_admin", message).at("role"));
    }
    Ok(())
}

/// Checks whether a login may change from one role to another: partner logins stay partners', and ours stay ours.
///
/// # Errors
/// `wrong_role` if the login would change sides.
pub fn may_change_role(from: Role, to: Role) -> Result<(), Refusal> {
    if from.is_partners() == to.is_partners() {
        return Ok(());
    }
    let message = match from.is_partners() {
        true => "A partner's login cannot become a colleague's. Invite the colleague with their own address.",
        false => "A colleague does not become a partner. Invite the partner from their own page.",
    };
    Err(Refusal::new("wrong_role", message).at("role"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_administrator_always_stays() {
        let held = |role, is_oneself, other_admins| Held { role, is_oneself, other_admins };
        let (admin, payer) = (Some(Role::Admin), Some(Role::Payer));
        let rows = [
            (held(admin, true, 3), None, "own_login"),
            (held(payer, true, 3), None, "own_login"),
            (held(admin, true, 3), payer, "own_role"),
            (held(admin, true, 0), admin, ""),
            (held(admin, false, 0), None, "last_admin"),
            (held(admin, false, 0), payer, "last_admin"),
            (held(admin, false, 1), None, ""),
            (held(admin, false, 1), payer, ""),
            (held(payer, false, 0), None, ""),
            (held(payer, true, 0), admin, ""),
            // A login without access is no administrator to lose.
            (held(None, false, 0), payer, ""),
        ];
        for (held, after, code) in rows {
            let refusal_code = may_become(held, after).err().map_or("", |refusal| refusal.code);
            assert_eq!(refusal_code, code, "{held:?} → {after:?}");
        }
    }

    #[test]
    fn a_login_stays_on_its_side() {
        let ours = [Role::Admin, Role::ProgramManager, Role::Preparer, Role::Payer, Role::Auditor];
        let partners = [Role::PartnerAdmin, Role::Partner];
        assert_eq!(ours.len() + partners.len(), Role::ALL.len());
        let refusal = |from, to| may_change_role(from, to).err().map_or(String::new(), |no| no.sentence);
        for our in ours {
            assert!(!our.is_partners(), "{our:?}");
            assert!(ours.iter().all(|to| refusal(our, *to).is_empty()), "{our:?}");
            assert!(
                partners.iter().all(|to| refusal(our, *to).contains("does not become a partner")),
                "{our:?}"
            );
        }
        for partner in partners {
            assert!(partner.is_partners(), "{partner:?}");
            assert!(partners.iter().all(|to| refusal(partner, *to).is_empty()), "{partner:?}");
            assert!(
                ours.iter().all(|to| refusal(partner, *to).contains("cannot become a colleague's")),
                "{partner:?}"
            );
        }
    }

    /// The policy, printed: granting or revoking a permission shows up here.
    #[test]
    fn who_may_do_what() {
        let mut table = String::new();
        for permission in Permission::ALL {
            let holders = Role::ALL.iter().filter(|role| allows(**role, *permission));
            let holders: Vec<&str> = holders.map(|role| role.as_str()).collect();
            table += &format!("{:<16} {}\n", permission.as_str(), holders.join(", "));
        }
        insta::assert_snapshot!(table, @r"
        read             admin, program_manager, preparer, payer, auditor
        review           admin, program_manager
        manage_partners  admin, program_manager
        prepare          admin, preparer, payer
        pay              admin, payer
        administer       admin
        audit            admin, auditor
        evidence         admin, auditor
        read_own         admin, partner_admin, partner
        ");
    }
}
