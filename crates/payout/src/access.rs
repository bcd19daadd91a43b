//! Who may do what. One policy, asked by every page, call and command.

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
        /// A partner who may see his whole company.
        PartnerAdmin = "partner_admin",
        /// A partner, who sees what is his own.
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
        Role::Auditor => &[Permission::Read, Permission::Audit],
        Role::PartnerAdmin | Role::Partner => &[Permission::ReadOwn],
    };
    granted.contains(&permission)
}
