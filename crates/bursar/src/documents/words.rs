//! The texts of PDF documents, one table per language. Not here: Japanese, because the font has no Japanese characters. Those
//! partners get English PDFs; their portal pages, which can be printed, are in Japanese.

use payout::transaction::Status;

use crate::mail::Language;

/// The texts of a statement. Placeholders in braces are filled in.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// The language code in the PDF.
    pub code: &'static str,
    pub title: &'static str,
    pub paid_to: &'static str,
    pub period: &'static str,
    pub span: &'static str,
    pub made_on: &'static str,
    pub total: &'static str,
    pub one_payment: &'static str,
    pub some_payments: &'static str,
    pub with_fees: &'static str,
    pub payment: &'static str,
    pub date: &'static str,
    pub to: &'static str,
    pub amount: &'static str,
    pub fee: &'static str,
    pub net: &'static str,
    pub status: &'static str,
    pub earned_by: &'static str,
    pub none: &'static str,
    pub none_complete: &'static str,
    pub left_out: &'static str,
    pub note: &'static str,
    pub questions: &'static str,
    pub page: &'static str,
    /// Paid in a way other than a vendor, and with which reference.
    pub outside: &'static str,
    pub outside_by: &'static str,
    statuses: [&'static str; 6],
}

impl Words {
    pub fn of(language: Language) -> &'static Self {
        match language {
            Language::En | Language::Ja | Language::Pseudo => &ENGLISH,
            Language::De => &GERMAN,
            Language::Fr => &FRENCH,
            Language::Es => &SPANISH,
        }
    }

    /// The label of a payment's status, as in the portal.
    pub fn status(&self, status: Status) -> &'static str {
        let [pending, processing, ready, success, failed, payout_failed] = self.statuses;
        match status {
            Status::Pending => pending,
            Status::PendingProcessing => processing,
            Status::PayoutReady => ready,
            Status::Success => success,
            Status::Failed => failed,
            Status::PayoutFailed => payout_failed,
        }
    }
}

const ENGLISH: Words = Words {
    code: "en",
    title: "Statement of payments {year}",
    paid_to: "Paid to",
    period: "Period",
    span: "1 January to 31 December {year} (UTC)",
    made_on: "As known on",
    total: "Total {currency}: {sum}",
    one_payment: "in 1 payment",
    some_payments: "in {count} payments",
    with_fees: "(amount {amount}, fees {fees})",
    payment: "Payment",
    date: "Date",
    to: "Paid to",
    amount: "Amount",
    fee: "Fee",
    net: "Net",
    status: "Status",
    earned_by: "earned by {name}",
    none: "Nothing was paid in this year.",
    none_complete: "No payment of this year is complete.",
    left_out: "The totals count payments that succeeded or were made outside; the others are listed with how they stand.",
    note: "This statement lists payments as the payer's records have them. It is no certificate for an authority, no invoice \
        and no tax form; a tax form, where one is due, is sent separately. Amounts are in the currency they were paid in, \
        and nothing is converted.",
    questions: "Questions? Write to {address}.",
    page: "Page {page} of {count}",
    outside: "Paid outside",
    outside_by: "outside: {reference}",
    statuses: ["Pending", "Pending Processing", "Payout Ready", "Success", "Failed", "Payout Failed"],
};

const GERMAN: Words = Words {
    code: "de",
    title: "Aufstellung der Zahlungen {year}",
    paid_to: "Bezahlt an",
    period: "Zeitraum",
    span: "1. Januar bis 31. Dezember {year} (UTC)",
    made_on: "Bekannt am",
    total: "Summe {currency}: {sum}",
    one_payment: "in 1 Zahlung",
    some_payments: "in {count} Zahlungen",
    with_fees: "(Betrag {amount}, Gebühren {fees})",
    payment: "Zahlung",
    date: "Datum",
    to: "Bezahlt an",
    amount: "Betrag",
    fee: "Gebühr",
    net: "Netto",
    status: "Stand",
    earned_by: "verdient von {name}",
    none: "In diesem Jahr wurde nichts bezahlt.",
    none_complete: "Keine Zahlung dieses Jahres ist abgeschlossen.",
    left_out: "Die Summen zählen Zahlungen, die erfolgreich waren oder auf anderem Weg bezahlt wurden; die übrigen stehen mit ihrem \
        Stand in der Liste.",
    note: "Diese Aufstellung nennt Zahlungen, wie sie in den Büchern des Zahlers stehen. Sie ist keine Bescheinigung für eine \
        Behörde, keine Rechnung und kein Steuerformular; ein Steuerformular kommt, wo es fällig ist, für sich. Beträge \
        stehen in der Währung, in der sie bezahlt wurden, und nichts ist umgerechnet.",
    questions: "Fragen? Schreiben Sie an {address}.",
    page: "Seite {page} von {count}",
    outside: "Auf anderem Weg bezahlt",
    outside_by: "auf anderem Weg: {reference}",
    statuses: [
        "Ausstehend",
        "Ausstehend, in Arbeit",
        "Bereit zur Auszahlung",
        "Erfolgreich",
        "Fehlgeschlagen",
        "Auszahlung fehlgeschlagen",
    ],
};

const FRENCH: Words = Words {
    code: "fr",
    title: "Relevé des paiements {year}",
    paid_to: "Payé à",
    period: "Période",
    span: "du 1er janvier au 31 décembre {year} (UTC)",
    made_on: "Connu au",
    total: "Total {currency} : {sum}",
    one_payment: "en 1 paiement",
    some_payments: "en {count} paiements",
    with_fees: "(montant {amount}, frais {fees})",
    payment: "Paiement",
    date: "Date",
    to: "Payé à",
    amount: "Montant",
    fee: "Frais",
    net: "Net",
    status: "État",
    earned_by: "gagné par {name}",
    none: "Rien n’a été payé cette année-là.",
    none_complete: "Aucun paiement de cette année n’est achevé.",
    left_out: "Les totaux comptent les paiements réussis ou faits autrement ; les autres figurent dans la liste avec leur état.",
    note: "Ce relevé donne les paiements tels qu’ils figurent dans les livres du payeur. Ce n’est ni une attestation pour une \
        administration, ni une facture, ni un formulaire fiscal ; un formulaire fiscal, s’il est dû, est envoyé à part. Les \
        montants sont dans la monnaie du paiement, et rien n’est converti.",
    questions: "Une question ? Écrivez à {address}.",
    page: "Page {page} sur {count}",
    outside: "Payé autrement",
    outside_by: "autrement : {reference}",
    statuses: [
        "En attente",
        "En cours de traitement",
        "Prêt à verser",
        "Réussi",
        "Échoué",
        "Versement échoué",
    ],
};

const SPANISH: Words = Words {
    code: "es",
    title: "Extracto de pagos {year}",
    paid_to: "Pagado a",
    period: "Periodo",
    span: "del 1 de enero al 31 de diciembre de {year} (UTC)",
    made_on: "Conocido el",
    total: "Total {currency}: {sum}",
    one_payment: "en 1 pago",
    some_payments: "en {count} pagos",
    with_fees: "(importe {amount}, comisiones {fees})",
    payment: "Pago",
    date: "Fecha",
    to: "Pagado a",
    amount: "Importe",
    fee: "Comisión",
    net: "Neto",
    status: "Estado",
    earned_by: "ganado por {name}",
    none: "Ese año no se pagó nada.",
    none_complete: "Ningún pago de ese año está terminado.",
    left_out: "Los totales cuentan los pagos correctos o hechos de otra forma; los demás figuran en la lista con su estado.",
    note: "Este extracto recoge los pagos tal como constan en los libros de quien paga. No es un certificado para una autoridad, \
        ni una factura, ni un formulario fiscal; un formulario fiscal, si procede, se envía aparte. Los importes están en la \
        moneda en que se pagaron, y nada se convierte.",
    questions: "¿Preguntas? Escriba a {address}.",
    page: "Página {page} de {count}",
    outside: "Pagado de otra forma",
    outside_by: "de otra forma: {reference}",
    statuses: [
        "Pendiente",
        "Pendiente, en proceso",
        "Listo para pagar",
        "Correcto",
        "Fallido",
        "Pago fallido",
    ],
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::documents::pdf::drawable;

    #[test]
    fn every_word_can_be_drawn_and_has_its_own_language() {
        for words in [&ENGLISH, &GERMAN, &FRENCH, &SPANISH] {
            let all = format!("{words:?}");
            assert_eq!(drawable(&all), all, "a letter that the typeface has not, in {}", words.code);
            assert!(words.title.contains("{year}") && words.page.contains("{count}"), "{}", words.code);
        }
        assert_eq!(drawable("1\u{202f}234,50 − – ·"), "1\u{202f}234,50 − – ·", "marks of amounts");
        assert_eq!(Words::of(Language::De).status(Status::Success), "Erfolgreich");
    }
}
