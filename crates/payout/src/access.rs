//! Who may do what. One policy, asked by every page, call and command.

use crate::Refusal;
use crate::spelling::spelled;

spelled! {
    /// What a person or an API key is for.
    Role {
        /// Everything, people and settings included.
        Admin = "admin",
        /// Reviews rewards.
        ProgramManager = "program_manager",
        /// Prepares batches.
        Preparer = "preparer",
        /// Prepares, releases and pays batches.
        Payer = "payer",
        /// Reads everything, changes nothing.
        Auditor = "auditor",
        /// A partner who may see their whole company.
        PartnerAdmin = "partner_admin",
        /// A partner, who sees what is their own.
        Partner = "partner",
    }
}

spelled! {
    /// What somebody may be allowed to do.
    Permission {
        /// Read rewards, batches, transactions, partners and reports of everybody.
        Read = "read",
        /// Enter, edit, approve, reject and import rewards.
        Review = "review",
        /// Enter partners, accounts, programs, activities and payout profiles.
        ManagePartners = "manage_partners",
        /// Form, change and delete draft batches.
        Prepare = "prepare",
        /// Release and pay batches; resubmit, return and close transactions.
        Pay = "pay",
        /// Change settings and vendors, people and keys.
        Administer = "administer",
        /// Read the audit trail and check the invariants.
        Audit = "audit",
        /// Read word for word what vendors were sent and said.
        Evidence = "evidence",
        /// Read what is one's own.
        ReadOwn = "read_own",
    }
}

/// Whether `role` may do what `permission` names.
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

/// Whether somebody of this role moves money, says where it goes, or lets people in: what a stolen password must not be
/// enough for.
#[must_use]
pub fn needs_second_factor(role: Role) -> bool {
    let moves = [Permission::Pay, Permission::ManagePartners, Permission::Administer];
    moves.iter().any(|permission| allows(role, *permission))
}

impl Role {
    /// For people.
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

    /// What it is for, in a line, for whoever chooses one.
    #[must_use]
    pub fn told(self) -> &'static str {
        match self {
            Self::Admin => "everything, people and settings included",
            Self::ProgramManager => "reviews rewards, enters partners and programs",
            Self::Preparer => "prepares payouts",
            Self::Payer => "prepares, releases and pays payouts",
            Self::Auditor => "reads everything, changes nothing",
            Self::PartnerAdmin => "a partner who sees their whole account",
            Self::Partner => "a partner who sees what is their own",
        }
    }

    /// The role belongs to a partner.
    #[must_use]
    pub fn is_partners(self) -> bool {
        matches!(self, Self::Partner | Self::PartnerAdmin)
    }
}

/// Whose rights are to be taken or changed, as far as the rules ask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Their role now; `None` when they are shut out.
    pub role: Option<Role>,
    /// It is whoever asks.
    pub is_oneself: bool,
    /// How many other administrators can sign in.
    pub other_admins: usize,
}

/// Whether somebody may be given another role, or none by being shut out. Nobody shuts themselves out or gives away their
/// own administrator's role, and one administrator always stays.
///
/// # Errors
/// The rule that it would break.
pub fn may_become(held: Held, after: Option<Role>) -> Result<(), Refusal> {
    let stays_admin = after == Some(Role::Admin);
    if held.is_oneself && after.is_none() {
        let told = "You cannot shut yourself out. Another administrator can.";
        return Err(Refusal::new("own_login", told));
    }
    if held.role != Some(Role::Admin) || stays_admin {
        return Ok(());
    }
    if held.is_oneself {
        let told = "You cannot give away your own administrator's role. Another administrator can take it.";
        return Err(Refusal::new("own_role", told).at("role"));
    }
    if held.other_admins == 0 {
        let told = "This is the last administrator who can sign in. Make another one first.";
        return Err(Refusal::new("last_admin", told).at("role"));
    }
    Ok(())
}

/// Whether a login may change from one role to another: a partner's login stays a partner's, and ours stays ours.
///
/// # Errors
/// When it would change sides.
pub fn may_change_role(from: Role, to: Role) -> Result<(), Refusal> {
    if from.is_partners() == to.is_partners() {
        return Ok(());
    }
    let told = match from.is_partners() {
        true => "A partner's login stays a partner's. Invite a colleague with an address of their own.",
        false => "A colleague does not become a partner. Invite the partner from their own page.",
    };
    Err(Refusal::new("wrong_role", told).at("role"))
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
            // Whoever is shut out already is no administrator to lose.
            (held(None, false, 0), payer, ""),
        ];
        for (held, after, code) in rows {
            let told = may_become(held, after).err().map_or("", |refusal| refusal.code);
            assert_eq!(told, code, "{held:?} → {after:?}");
        }
    }

    #[test]
    fn a_login_stays_on_its_side() {
        let ours = [Role::Admin, Role::ProgramManager, Role::Preparer, Role::Payer, Role::Auditor];
        let partners = [Role::PartnerAdmin, Role::Partner];
        assert_eq!(ours.len() + partners.len(), Role::ALL.len());
        let told = |from, to| may_change_role(from, to).err().map_or(String::new(), |no| no.sentence);
        for our in ours {
            assert!(!our.is_partners(), "{our:?}");
            assert!(ours.iter().all(|to| told(our, *to).is_empty()), "{our:?}");
            assert!(
                partners.iter().all(|to| told(our, *to).contains("does not become a partner")),
                "{our:?}"
            );
        }
        for partner in partners {
            assert!(partner.is_partners(), "{partner:?}");
            assert!(partners.iter().all(|to| told(partner, *to).is_empty()), "{partner:?}");
            assert!(ours.iter().all(|to| told(partner, *to).contains("stays a partner's")), "{partner:?}");
        }
    }

    /// The policy, printed: a right that is given or taken is read here.
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
