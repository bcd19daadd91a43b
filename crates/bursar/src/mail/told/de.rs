//! Gate and failure texts in German.

use payout::eligibility::Code;
use payout::reason::Cause;

use super::{Told, told};

#[rustfmt::skip]
pub fn gate(code: Code) -> Told {
    match code {
        Code::BatchEmpty | Code::ReleaseNeedsOtherPerson | Code::OverLimit | Code::AlreadyPaying | Code::PermissionDenied =>
            told("Wir bereiten diese Auszahlung noch vor.", "Sie müssen nichts tun."),
        Code::ModuleDisabled | Code::SafeMode | Code::BooksDoNotBalance =>
            told("Auszahlungen ruhen im Moment.", "Sie müssen nichts tun; was Sie verdient haben, bleibt Ihnen."),
        Code::VendorNotConnected =>
            told("Über diesen Zahlungsdienst können wir im Moment nicht zahlen.", "Sie müssen nichts tun, oder Sie wählen unter „Wie ich bezahlt werde“ den anderen."),
        Code::VendorCredentialsRejected | Code::OtherVendorAccount | Code::VendorBalanceLow | Code::TransferReversed
        | Code::UnknownAtVendor =>
            told("Die Zahlung wartet, bis wir beim Zahlungsdienst etwas in Ordnung gebracht haben.", "Sie müssen nichts tun; wir kümmern uns darum."),
        Code::ProfileMissing =>
            told("Es ist noch nicht eingerichtet, wohin dieses Geld geht.", "Bitte wählen Sie es unter „Wie ich bezahlt werde“."),
        Code::ProfileIncomplete =>
            told("Der Zahlungsdienst kann auf dieses Konto noch nicht zahlen.", "Bitte schließen Sie unter „Wie ich bezahlt werde“ ab, was er von Ihnen verlangt."),
        Code::ProfileChangedRecently =>
            told("Wohin dieses Geld geht, wurde vor kurzem geändert. Zu Ihrer Sicherheit wartet es einige Tage.", "Sie müssen nichts tun, wenn Sie es selbst geändert haben."),
        Code::DestinationChanged =>
            told("Wohin Ihr Geld geht, wurde geändert, nachdem diese Zahlung vorbereitet war.", "Sie müssen nichts tun; wir prüfen es und bereiten die Zahlung neu vor."),
        Code::TaxReportMissing =>
            told("Ihr Steuerformular fehlt.", "Bitte füllen Sie es unter „Steuerformular“ aus."),
        Code::TaxReportExpired =>
            told("Ihr Steuerformular ist abgelaufen.", "Bitte füllen Sie unter „Steuerformular“ ein neues aus."),
        Code::BelowThreshold =>
            told("Es ist weniger, als mindestens ausgezahlt wird.", "Sie müssen nichts tun: Es wird bezahlt, sobald genug zusammengekommen ist."),
        Code::AboveVendorMax | Code::AmountNotPayable =>
            told("Der Zahlungsdienst kann diesen Betrag so nicht zahlen.", "Sie müssen nichts tun; wir teilen ihn auf oder fassen ihn mit anderen Prämien zusammen."),
        Code::CurrencyUnsupported =>
            told("Diese Währung kann nicht auf das angegebene Konto gezahlt werden.", "Bitte fügen Sie ein Konto in dieser Währung hinzu, oder wählen Sie einen anderen Zahlungsweg."),
        Code::CountryUnsupported =>
            told("Der Zahlungsdienst zahlt diese Währung nur in ihrem eigenen Land.", "Bitte wählen Sie einen anderen Zahlungsweg."),
        Code::NetNotPositive =>
            told("Nach Rückforderungen und Gebühren bleibt nichts zu zahlen.", "Sie müssen nichts tun: Es wird mit dem verrechnet, was Sie als Nächstes verdienen."),
        Code::ClawbackLeftOut =>
            told("Was Sie uns von früher schulden, wird noch mit Ihrer nächsten Zahlung verrechnet.", "Sie müssen nichts tun: Wir bringen es in Ordnung."),
        Code::TotalTooLarge =>
            told("Ihre Zahlung ist höher, als wir auf einmal auszahlen können.", "Sie müssen nichts tun: Wir gehen dem nach."),
        Code::FeeTableMissing =>
            told("Wir haben noch nicht eingetragen, was der Zahlungsdienst in dieser Währung berechnet.", "Sie müssen nichts tun: Wir bringen es in Ordnung."),
        Code::PartnerOnHold =>
            told("Auszahlungen an Sie ruhen, während wir etwas prüfen.", "Sie müssen nichts tun; fragen Sie im Zweifel den Betreiber Ihres Partnerprogramms."),
        Code::PartnerClosed =>
            told("Sie sind hier nicht mehr als Partner eingetragen.", "Bitte fragen Sie den Betreiber Ihres Partnerprogramms."),
        Code::RewardNotApproved =>
            told("Es ist noch nicht genehmigt.", "Sie müssen nichts tun; wir prüfen es."),
        Code::RewardExpired =>
            told("Es ist verfallen, bevor es bezahlt war.", "Bitte fragen Sie den Betreiber Ihres Partnerprogramms."),
        Code::RewardInHoldPeriod =>
            told("Es ist noch in der Wartezeit seines Programms.", "Sie müssen nichts tun: Danach kann es bezahlt werden."),
        Code::RewardNotCash =>
            told("Punkte werden nicht ausgezahlt.", "Es ist nichts zu tun."),
        Code::RewardInBatch =>
            told("Es ist in einer Auszahlung, die vorbereitet wird.", "Sie müssen nichts tun."),
        Code::RewardInFlight =>
            told("Es ist schon in einer Zahlung.", "Wie sie steht, sehen Sie unter „Auszahlungen“."),
        Code::RewardPaid =>
            told("Es ist bezahlt.", "Es ist nichts zu tun."),
        Code::PaymentContradicted =>
            told("Wir klären mit dem Zahlungsdienst, wie eine frühere Zahlung hierfür ausgegangen ist.", "Sie müssen nichts tun; wir kümmern uns darum."),
        Code::WaitingForFunds =>
            told("Das Geld liegt beim Zahlungsdienst und ist dort noch nicht verfügbar.", "Sie müssen nichts tun: Es geht von selbst an Ihre Bank weiter."),
        Code::MoneyMissing =>
            told("Wir klären mit dem Zahlungsdienst, wo das Geld dieser Zahlung ist.", "Sie müssen nichts tun; wir kümmern uns darum."),
        Code::SetAside =>
            told("Wir bringen den Datensatz dieser Zahlung in Ordnung.", "Sie müssen nichts tun; wir kümmern uns darum."),
    }
}

#[rustfmt::skip]
pub fn cause(cause: Cause) -> Told {
    match cause {
        Cause::AccountClosed =>
            told("Ihr Bankkonto ist geschlossen.", "Bitte geben Sie ein Konto an, das noch besteht."),
        Cause::WrongNumber =>
            told("Ihre Bank kennt die angegebene Kontonummer nicht.", "Bitte prüfen und berichtigen Sie Ihre Bankverbindung."),
        Cause::BankRefuses =>
            told("Ihre Bank nimmt auf diesem Konto kein Geld an.", "Bitte sprechen Sie mit Ihrer Bank oder geben Sie ein anderes Konto an."),
        Cause::WrongHolder =>
            told("Name oder Angaben des Kontoinhabers stimmen nicht mit denen der Bank überein.", "Bitte berichtigen Sie Name und Angaben des Kontoinhabers."),
        Cause::WrongCurrency =>
            told("Ihr Bankkonto nimmt diese Währung nicht an.", "Bitte fügen Sie ein Konto in dieser Währung hinzu."),
        Cause::AccountUnfinished =>
            told("Ihr Konto bei Stripe kann noch kein Geld empfangen.", "Bitte schließen Sie ab, was Stripe von Ihnen verlangt."),
        Cause::Unregistered =>
            told("Zu dieser Adresse gibt es kein bestätigtes PayPal-Konto.", "Bitte eröffnen Sie ein PayPal-Konto mit genau dieser Adresse, oder bestätigen Sie das bestehende. Ist die Adresse falsch, geben Sie unter „Wie ich bezahlt werde“ eine andere an: Diese Zahlung geht nicht dorthin, aber Sie werden dort bezahlt, sobald sie zu uns zurückgekommen ist."),
        Cause::ReceiverCannot =>
            told("PayPal kann nicht auf Ihr Konto zahlen.", "Bitte bringen Sie Ihr PayPal-Konto in Ordnung oder geben Sie ein anderes Ziel an."),
        Cause::Funds | Cause::Ours =>
            told("Die Zahlung konnte nicht ausgeführt werden.", "Sie müssen nichts tun; wir kümmern uns darum."),
        Cause::BankFailed =>
            told("Ihre Bank konnte die Zahlung nicht ausführen.", "Sie müssen nichts tun; wir versuchen es noch einmal. Scheitert es wieder, sprechen Sie bitte mit Ihrer Bank."),
        Cause::AccountUnknown =>
            told("Stripe kennt Ihr Konto nicht mehr, oder es ist nicht mehr mit uns verbunden.", "Bitte verbinden Sie es unter „Wie ich bezahlt werde“ neu."),
        Cause::Amount =>
            told("Der Zahlungsdienst zahlt diesen Betrag so nicht aus. Mit Ihrem Bankkonto ist alles in Ordnung.", "Sie müssen nichts tun; wir zahlen ihn zusammen mit anderen Prämien oder in Teilen."),
        Cause::NotClaimed =>
            told("Die Zahlung wurde bei PayPal nicht angenommen.", "Bitte eröffnen Sie ein PayPal-Konto mit genau dieser Adresse, oder bestätigen Sie das bestehende. Ist die Adresse falsch, geben Sie unter „Wie ich bezahlt werde“ eine andere an: Diese Zahlung geht nicht dorthin, aber Sie werden dort bezahlt, sobald sie zu uns zurückgekommen ist."),
        Cause::Destination =>
            told("PayPal kann nicht an die Adresse zahlen, die Sie angegeben haben.", "Bitte geben Sie unter „Wie ich bezahlt werde“ eine andere oder einen anderen Zahlungsweg an. Wir zahlen dann dorthin."),
        Cause::Limit =>
            told("Der Zahlungsdienst zahlt heute nichts mehr aus.", "Sie müssen nichts tun; wir versuchen es noch einmal."),
        Cause::SentBack =>
            told("Diese Zahlung wurde von Ihrem Konto an uns zurückgeschickt.", "War das nicht in Ihrem Sinn, sagen Sie es bitte dem Betreiber Ihres Partnerprogramms."),
        Cause::TakenBack =>
            told("Der Zahlungsdienst hat diese Zahlung von Ihrem Konto zurückgeholt.", "Bitte fragen Sie ihn nach dem Grund. Auch wir gehen dem nach."),
        Cause::Held =>
            told("PayPal prüft diese Zahlung noch.", "Sie müssen nichts tun, außer PayPal fragt Sie nach etwas."),
        Cause::Unclear => gate(Code::MoneyMissing),
    }
}
