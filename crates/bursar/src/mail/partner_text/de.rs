//! Gate and failure texts in German.

use payout::eligibility::Code;
use payout::reason::Cause;

use super::{PartnerText, text};

#[rustfmt::skip]
pub fn gate(code: Code) -> PartnerText {
    match code {
        Code::BatchEmpty | Code::ReleaseNeedsOtherPerson | Code::OverLimit | Code::AlreadyPaying | Code::PermissionDenied =>
            text("Wir bereiten diese Auszahlung noch vor.", "Sie müssen nichts tun."),
        Code::ModuleDisabled | Code::SafeMode | Code::BooksDoNotBalance =>
            text("Auszahlungen ruhen im Moment.", "Sie müssen nichts tun; was Sie verdient haben, bleibt Ihnen."),
        Code::VendorNotConnected =>
            text("Über diesen Zahlungsdienst können wir im Moment nicht zahlen.", "Sie müssen nichts tun, oder Sie wählen unter „Wie ich bezahlt werde“ den anderen."),
        Code::VendorCredentialsRejected | Code::OtherVendorAccount | Code::VendorBalanceLow | Code::TransferReversed
        | Code::UnknownAtVendor =>
            text("Die Zahlung wartet, bis wir beim Zahlungsdienst etwas in Ordnung gebracht haben.", "Sie müssen nichts tun; wir kümmern uns darum."),
        Code::ProfileMissing =>
            text("Es ist noch nicht eingerichtet, wohin dieses Geld geht.", "Bitte wählen Sie es unter „Wie ich bezahlt werde“."),
        Code::ProfileIncomplete =>
            text("Der Zahlungsdienst kann auf dieses Konto noch nicht zahlen.", "Bitte schließen Sie unter „Wie ich bezahlt werde“ ab, was er von Ihnen verlangt."),
        Code::ProfileChangedRecently =>
            text("Wohin dieses Geld geht, wurde vor kurzem geändert. Zu Ihrer Sicherheit wartet es einige Tage.", "Sie müssen nichts tun, wenn Sie es selbst geändert haben."),
        Code::DestinationChanged =>
            text("Wohin Ihr Geld geht, wurde geändert, nachdem diese Zahlung vorbereitet war.", "Sie müssen nichts tun; wir prüfen es und bereiten die Zahlung neu vor."),
        Code::TaxReportMissing =>
            text("Ihr Steuerformular fehlt.", "Bitte füllen Sie es unter „Steuerformular“ aus."),
        Code::TaxReportExpired =>
            text("Ihr Steuerformular ist abgelaufen.", "Bitte füllen Sie unter „Steuerformular“ ein neues aus."),
        Code::BelowThreshold =>
            text("Es ist weniger, als mindestens ausgezahlt wird.", "Sie müssen nichts tun: Es wird bezahlt, sobald genug zusammengekommen ist."),
        Code::AboveVendorMax | Code::AmountNotPayable =>
            text("Der Zahlungsdienst kann diesen Betrag so nicht zahlen.", "Sie müssen nichts tun; wir teilen ihn auf oder fassen ihn mit anderen Prämien zusammen."),
        Code::CurrencyUnsupported =>
            text("Diese Währung kann nicht auf das angegebene Konto gezahlt werden.", "Bitte fügen Sie ein Konto in dieser Währung hinzu, oder wählen Sie einen anderen Zahlungsweg."),
        Code::CountryUnsupported =>
            text("Der Zahlungsdienst zahlt diese Währung nur in ihrem eigenen Land.", "Bitte wählen Sie einen anderen Zahlungsweg."),
        Code::NetNotPositive =>
            text("Nach Rückforderungen und Gebühren bleibt nichts zu zahlen.", "Sie müssen nichts tun: Es wird mit dem verrechnet, was Sie als Nächstes verdienen."),
        Code::ClawbackLeftOut =>
            text("Was Sie uns von früher schulden, wird noch mit Ihrer nächsten Zahlung verrechnet.", "Sie müssen nichts tun: Wir bringen es in Ordnung."),
        Code::TotalTooLarge =>
            text("Ihre Zahlung ist höher, als wir auf einmal auszahlen können.", "Sie müssen nichts tun: Wir gehen dem nach."),
        Code::FeeTableMissing =>
            text("Wir haben noch nicht eingetragen, was der Zahlungsdienst in dieser Währung berechnet.", "Sie müssen nichts tun: Wir bringen es in Ordnung."),
        Code::PartnerOnHold =>
            text("Auszahlungen an Sie ruhen, während wir etwas prüfen.", "Sie müssen nichts tun; fragen Sie im Zweifel den Betreiber Ihres Partnerprogramms."),
        Code::PartnerClosed =>
            text("Sie sind hier nicht mehr als Partner eingetragen.", "Bitte fragen Sie den Betreiber Ihres Partnerprogramms."),
        Code::RewardNotApproved =>
            text("Es ist noch nicht genehmigt.", "Sie müssen nichts tun; wir prüfen es."),
        Code::RewardExpired =>
            text("Es ist verfallen, bevor es bezahlt war.", "Bitte fragen Sie den Betreiber Ihres Partnerprogramms."),
        Code::RewardInHoldPeriod =>
            text("Es ist noch in der Wartezeit seines Programms.", "Sie müssen nichts tun: Danach kann es bezahlt werden."),
        Code::RewardNotCash =>
            text("Punkte werden nicht ausgezahlt.", "Es ist nichts zu tun."),
        Code::RewardInBatch =>
            text("Es ist in einer Auszahlung, die vorbereitet wird.", "Sie müssen nichts tun."),
        Code::RewardInFlight =>
            text("Es ist schon in einer Zahlung.", "Wie sie steht, sehen Sie unter „Auszahlungen“."),
        Code::RewardPaid =>
            text("Es ist bezahlt.", "Es ist nichts zu tun."),
        Code::PaymentContradicted =>
            text("Wir klären mit dem Zahlungsdienst, wie eine frühere Zahlung hierfür ausgegangen ist.", "Sie müssen nichts tun; wir kümmern uns darum."),
        Code::WaitingForFunds =>
            text("Das Geld liegt beim Zahlungsdienst und ist dort noch nicht verfügbar.", "Sie müssen nichts tun: Es geht von selbst an Ihre Bank weiter."),
        Code::MoneyMissing =>
            text("Wir klären mit dem Zahlungsdienst, wo das Geld dieser Zahlung ist.", "Sie müssen nichts tun; wir kümmern uns darum."),
        Code::SetAside =>
            text("Wir bringen den Datensatz dieser Zahlung in Ordnung.", "Sie müssen nichts tun; wir kümmern uns darum."),
    }
}

#[rustfmt::skip]
pub fn cause(cause: Cause) -> PartnerText {
    match cause {
        Cause::AccountClosed =>
            text("Ihr Bankkonto ist geschlossen.", "Bitte geben Sie ein Konto an, das noch besteht."),
        Cause::WrongNumber =>
            text("Ihre Bank kennt die angegebene Kontonummer nicht.", "Bitte prüfen und berichtigen Sie Ihre Bankverbindung."),
        Cause::BankRefuses =>
            text("Ihre Bank nimmt auf diesem Konto kein Geld an.", "Bitte sprechen Sie mit Ihrer Bank oder geben Sie ein anderes Konto an."),
        Cause::WrongHolder =>
            text("Name oder Angaben des Kontoinhabers stimmen nicht mit denen der Bank überein.", "Bitte berichtigen Sie Name und Angaben des Kontoinhabers."),
        Cause::WrongCurrency =>
            text("Ihr Bankkonto nimmt diese Währung nicht an.", "Bitte fügen Sie ein Konto in dieser Währung hinzu."),
        Cause::AccountUnfinished =>
            text("Ihr Konto bei Stripe kann noch kein Geld empfangen.", "Bitte schließen Sie ab, was Stripe von Ihnen verlangt."),
        Cause::Unregistered =>
            text("Zu dieser Adresse gibt es kein bestätigtes PayPal-Konto.", "Bitte eröffnen Sie ein PayPal-Konto mit genau dieser Adresse, oder bestätigen Sie das bestehende. Ist die Adresse falsch, geben Sie unter „Wie ich bezahlt werde“ eine andere an: Diese Zahlung geht nicht dorthin, aber Sie werden dort bezahlt, sobald sie zu uns zurückgekommen ist."),
        Cause::ReceiverCannot =>
            text("PayPal kann nicht auf Ihr Konto zahlen.", "Bitte bringen Sie Ihr PayPal-Konto in Ordnung oder geben Sie ein anderes Ziel an."),
        Cause::Funds | Cause::Ours =>
            text("Die Zahlung konnte nicht ausgeführt werden.", "Sie müssen nichts tun; wir kümmern uns darum."),
        Cause::BankFailed =>
            text("Ihre Bank konnte die Zahlung nicht ausführen.", "Sie müssen nichts tun; wir versuchen es noch einmal. Scheitert es wieder, sprechen Sie bitte mit Ihrer Bank."),
        Cause::AccountUnknown =>
            text("Stripe kennt Ihr Konto nicht mehr, oder es ist nicht mehr mit uns verbunden.", "Bitte verbinden Sie es unter „Wie ich bezahlt werde“ neu."),
        Cause::Amount =>
            text("Der Zahlungsdienst zahlt diesen Betrag so nicht aus. Mit Ihrem Bankkonto ist alles in Ordnung.", "Sie müssen nichts tun; wir zahlen ihn zusammen mit anderen Prämien oder in Teilen."),
        Cause::NotClaimed =>
            text("Die Zahlung wurde bei PayPal nicht angenommen.", "Bitte eröffnen Sie ein PayPal-Konto mit genau dieser Adresse, oder bestätigen Sie das bestehende. Ist die Adresse falsch, geben Sie unter „Wie ich bezahlt werde“ eine andere an: Diese Zahlung geht nicht dorthin, aber Sie werden dort bezahlt, sobald sie zu uns zurückgekommen ist."),
        Cause::Destination =>
            text("PayPal kann nicht an die Adresse zahlen, die Sie angegeben haben.", "Bitte geben Sie unter „Wie ich bezahlt werde“ eine andere oder einen anderen Zahlungsweg an. Wir zahlen dann dorthin."),
        Cause::Limit =>
            text("Der Zahlungsdienst zahlt heute nichts mehr aus.", "Sie müssen nichts tun; wir versuchen es noch einmal."),
        Cause::SentBack =>
            text("Diese Zahlung wurde von Ihrem Konto an uns zurückgeschickt.", "War das nicht in Ihrem Sinn, sagen Sie es bitte dem Betreiber Ihres Partnerprogramms."),
        Cause::TakenBack =>
            text("Der Zahlungsdienst hat diese Zahlung von Ihrem Konto zurückgeholt.", "Bitte fragen Sie ihn nach dem Grund. Auch wir gehen dem nach."),
        Cause::Held =>
            text("PayPal prüft diese Zahlung noch.", "Sie müssen nichts tun, außer PayPal fragt Sie nach etwas."),
        Cause::Unclear => gate(Code::MoneyMissing),
    }
}
