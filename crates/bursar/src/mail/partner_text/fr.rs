//! Gate and failure texts in French.

use payout::eligibility::Code;
use payout::reason::Cause;

use super::{PartnerText, text};

#[rustfmt::skip]
pub fn gate(code: Code) -> PartnerText {
    match code {
        Code::BatchEmpty | Code::ReleaseNeedsOtherPerson | Code::OverLimit | Code::AlreadyPaying | Code::PermissionDenied =>
            text("Nous préparons encore ce versement.", "Vous n’avez rien à faire."),
        Code::ModuleDisabled | Code::SafeMode | Code::BooksDoNotBalance =>
            text("Les versements sont suspendus pour le moment.", "Vous n’avez rien à faire ; ce que vous avez gagné vous reste acquis."),
        Code::VendorNotConnected =>
            text("Nous ne pouvons pas payer par ce service de paiement pour le moment.", "Vous n’avez rien à faire, ou vous pouvez choisir l’autre sous « Comment je suis payé »."),
        Code::VendorCredentialsRejected | Code::OtherVendorAccount | Code::VendorBalanceLow | Code::TransferReversed
        | Code::UnknownAtVendor =>
            text("Le paiement attend que nous réglions quelque chose auprès du service de paiement.", "Vous n’avez rien à faire ; nous nous en occupons."),
        Code::ProfileMissing =>
            text("La destination de cet argent n’est pas encore indiquée.", "Veuillez la choisir sous « Comment je suis payé »."),
        Code::ProfileIncomplete =>
            text("Le service de paiement ne peut pas encore payer sur ce compte.", "Veuillez terminer ce qu’il vous demande, sous « Comment je suis payé »."),
        Code::ProfileChangedRecently =>
            text("La destination de cet argent a été changée il y a peu. Pour votre sécurité, il attend quelques jours.", "Vous n’avez rien à faire, si c’est vous qui l’avez changée."),
        Code::DestinationChanged =>
            text("La destination de votre argent a été changée après la préparation de ce paiement.", "Vous n’avez rien à faire ; nous vérifions et préparons le paiement à nouveau."),
        Code::TaxReportMissing =>
            text("Votre formulaire fiscal manque.", "Veuillez le remplir sous « Formulaire fiscal »."),
        Code::TaxReportExpired =>
            text("Votre formulaire fiscal n’est plus valable.", "Veuillez en remplir un nouveau sous « Formulaire fiscal »."),
        Code::BelowThreshold =>
            text("C’est moins que le minimum versé.", "Vous n’avez rien à faire : le versement se fera dès que la somme suffira."),
        Code::AboveVendorMax | Code::AmountNotPayable =>
            text("Le service de paiement ne peut pas payer ce montant tel quel.", "Vous n’avez rien à faire ; nous le divisons ou le réunissons avec d’autres primes."),
        Code::CurrencyUnsupported =>
            text("Cette devise ne peut pas être versée sur le compte indiqué.", "Veuillez ajouter un compte dans cette devise ou choisir un autre mode de paiement."),
        Code::CountryUnsupported =>
            text("Le service de paiement ne verse cette devise que dans son propre pays.", "Veuillez choisir un autre mode de paiement."),
        Code::NetNotPositive =>
            text("Après les reprises et les frais, il ne reste rien à payer.", "Vous n’avez rien à faire : vos prochains gains le compenseront."),
        Code::ClawbackLeftOut =>
            text("Ce que vous nous devez d’avant est encore à déduire de votre prochain paiement.", "Vous n’avez rien à faire : nous nous en occupons."),
        Code::TotalTooLarge =>
            text("Votre paiement dépasse ce que nous pouvons payer en une fois.", "Vous n’avez rien à faire : nous vérifions."),
        Code::FeeTableMissing =>
            text("Nous n’avons pas encore saisi ce que le service de paiement facture dans cette devise.", "Vous n’avez rien à faire : nous nous en occupons."),
        Code::PartnerOnHold =>
            text("Les versements à votre intention sont suspendus pendant une vérification.", "Vous n’avez rien à faire ; en cas de doute, adressez-vous au responsable de votre programme partenaire."),
        Code::PartnerClosed =>
            text("Vous n’êtes plus inscrit ici comme partenaire.", "Veuillez vous adresser au responsable de votre programme partenaire."),
        Code::RewardNotApproved =>
            text("Ce n’est pas encore approuvé.", "Vous n’avez rien à faire ; nous l’examinons."),
        Code::RewardExpired =>
            text("Cela a expiré avant d’être payé.", "Veuillez vous adresser au responsable de votre programme partenaire."),
        Code::RewardInHoldPeriod =>
            text("Le délai d’attente de son programme n’est pas écoulé.", "Vous n’avez rien à faire : ensuite, cela pourra être payé."),
        Code::RewardNotCash =>
            text("Les points ne sont pas versés.", "Il n’y a rien à faire."),
        Code::RewardInBatch =>
            text("Cela fait partie d’un versement en préparation.", "Vous n’avez rien à faire."),
        Code::RewardInFlight =>
            text("Cela fait déjà partie d’un paiement.", "Voyez où il en est sous « Versements »."),
        Code::RewardPaid =>
            text("C’est payé.", "Il n’y a rien à faire."),
        Code::PaymentContradicted =>
            text("Nous vérifions auprès du service de paiement comment un paiement précédent s’est terminé.", "Vous n’avez rien à faire ; nous nous en occupons."),
        Code::WaitingForFunds =>
            text("L’argent est auprès du service de paiement et n’y est pas encore disponible.", "Vous n’avez rien à faire : il part vers votre banque de lui-même."),
        Code::MoneyMissing =>
            text("Nous cherchons avec le service de paiement où se trouve l’argent de ce paiement.", "Vous n’avez rien à faire ; nous nous en occupons."),
        Code::SetAside =>
            text("Nous corrigeons l’enregistrement de ce paiement.", "Vous n’avez rien à faire ; nous nous en occupons."),
    }
}

#[rustfmt::skip]
pub fn cause(cause: Cause) -> PartnerText {
    match cause {
        Cause::AccountClosed =>
            text("Votre compte bancaire est fermé.", "Veuillez indiquer un compte ouvert."),
        Cause::WrongNumber =>
            text("Votre banque ne connaît pas le numéro de compte indiqué.", "Veuillez vérifier et corriger vos coordonnées bancaires."),
        Cause::BankRefuses =>
            text("Votre banque n'accepte pas d'argent sur ce compte.", "Veuillez contacter votre banque ou indiquer un autre compte."),
        Cause::WrongHolder =>
            text("Le nom ou les données du titulaire ne correspondent pas à ceux de la banque.", "Veuillez corriger le nom et les données du titulaire."),
        Cause::WrongCurrency =>
            text("Votre compte bancaire n'accepte pas cette devise.", "Veuillez ajouter un compte dans cette devise."),
        Cause::AccountUnfinished =>
            text("Votre compte Stripe n'est pas encore prêt à recevoir de l'argent.", "Veuillez terminer ce que Stripe vous demande."),
        Cause::Unregistered =>
            text("Aucun compte PayPal confirmé n'existe pour cette adresse.", "Veuillez ouvrir un compte PayPal avec exactement cette adresse, ou confirmer celui que vous avez. Si l’adresse est fausse, indiquez-en une autre sous « Comment je suis payé » : ce paiement n’y sera pas envoyé, mais vous y serez payé dès qu’il nous sera revenu."),
        Cause::ReceiverCannot =>
            text("PayPal ne peut pas payer sur votre compte.", "Veuillez régulariser votre compte PayPal ou indiquer une autre destination."),
        Cause::Funds | Cause::Ours =>
            text("Le paiement n'a pas pu être exécuté.", "Vous n'avez rien à faire ; nous nous en occupons."),
        Cause::BankFailed =>
            text("Votre banque n’a pas pu traiter le paiement.", "Vous n’avez rien à faire ; nous réessayons. En cas de nouvel échec, veuillez contacter votre banque."),
        Cause::AccountUnknown =>
            text("Stripe ne connaît plus votre compte, ou il n’est plus relié au nôtre.", "Veuillez le relier à nouveau sous « Comment je suis payé »."),
        Cause::Amount =>
            text("Le service de paiement ne verse pas ce montant tel quel. Votre compte bancaire n’est pas en cause.", "Vous n’avez rien à faire ; nous le versons avec d’autres primes ou en plusieurs fois."),
        Cause::NotClaimed =>
            text("Le paiement n’a pas été accepté chez PayPal.", "Veuillez ouvrir un compte PayPal avec exactement cette adresse, ou confirmer celui que vous avez. Si l’adresse est fausse, indiquez-en une autre sous « Comment je suis payé » : ce paiement n’y sera pas envoyé, mais vous y serez payé dès qu’il nous sera revenu."),
        Cause::Destination =>
            text("PayPal ne peut pas payer à l’adresse que vous avez indiquée.", "Veuillez en indiquer une autre, ou un autre moyen de paiement, sous « Comment je suis payé ». Nous y effectuerons alors le paiement."),
        Cause::Limit =>
            text("Le service de paiement ne verse plus rien aujourd’hui.", "Vous n’avez rien à faire ; nous réessayons."),
        Cause::SentBack =>
            text("Ce paiement nous a été renvoyé depuis votre compte.", "Si ce n’était pas votre intention, veuillez le dire au responsable de votre programme partenaire."),
        Cause::TakenBack =>
            text("Le service de paiement a repris ce paiement sur votre compte.", "Veuillez lui en demander la raison. Nous nous renseignons aussi."),
        Cause::Held =>
            text("PayPal vérifie encore ce paiement.", "Vous n’avez rien à faire, sauf si PayPal vous demande quelque chose."),
        Cause::Unclear => gate(Code::MoneyMissing),
    }
}
