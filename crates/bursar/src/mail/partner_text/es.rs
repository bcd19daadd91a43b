//! Gate and failure texts in Spanish.

use payout::eligibility::Code;
use payout::reason::Cause;

use super::{PartnerText, text};

#[rustfmt::skip]
pub fn gate(code: Code) -> PartnerText {
    match code {
        Code::BatchEmpty | Code::ReleaseNeedsOtherPerson | Code::OverLimit | Code::AlreadyPaying | Code::PermissionDenied =>
            text("Todavía estamos preparando este pago.", "No tiene que hacer nada."),
        Code::ModuleDisabled | Code::SafeMode | Code::BooksDoNotBalance =>
            text("Los pagos están en pausa en este momento.", "No tiene que hacer nada; lo que ha ganado sigue siendo suyo."),
        Code::VendorNotConnected =>
            text("En este momento no podemos pagar por este servicio de pago.", "No tiene que hacer nada, o puede elegir el otro en «Cómo me pagan»."),
        Code::VendorCredentialsRejected | Code::OtherVendorAccount | Code::VendorBalanceLow | Code::TransferReversed
        | Code::UnknownAtVendor =>
            text("El pago espera a que arreglemos algo con el servicio de pago.", "No tiene que hacer nada; nos ocupamos de ello."),
        Code::ProfileMissing =>
            text("Todavía no se ha indicado adónde va este dinero.", "Elíjalo, por favor, en «Cómo me pagan»."),
        Code::ProfileIncomplete =>
            text("El servicio de pago todavía no puede pagar en esta cuenta.", "Termine, por favor, lo que le pide, en «Cómo me pagan»."),
        Code::ProfileChangedRecently =>
            text("Adónde va este dinero se cambió hace poco. Por su seguridad espera unos días.", "No tiene que hacer nada, si fue usted quien lo cambió."),
        Code::DestinationChanged =>
            text("Adónde va su dinero se cambió después de preparar este pago.", "No tiene que hacer nada; lo comprobamos y preparamos el pago de nuevo."),
        Code::TaxReportMissing =>
            text("Falta su formulario fiscal.", "Rellénelo, por favor, en «Formulario fiscal»."),
        Code::TaxReportExpired =>
            text("Su formulario fiscal ha caducado.", "Rellene, por favor, uno nuevo en «Formulario fiscal»."),
        Code::BelowThreshold =>
            text("Es menos de lo mínimo que se paga.", "No tiene que hacer nada: se paga en cuanto se reúna lo suficiente."),
        Code::AboveVendorMax | Code::AmountNotPayable =>
            text("El servicio de pago no puede pagar este importe tal cual.", "No tiene que hacer nada; lo dividimos o lo juntamos con otras recompensas."),
        Code::CurrencyUnsupported =>
            text("Esta moneda no se puede pagar en la cuenta indicada.", "Añada, por favor, una cuenta en esta moneda o elija otra forma de cobro."),
        Code::CountryUnsupported =>
            text("El servicio de pago solo paga esta moneda en su propio país.", "Elija, por favor, otra forma de cobro."),
        Code::NetNotPositive =>
            text("Después de lo descontado y las comisiones no queda nada que pagar.", "No tiene que hacer nada: se compensa con lo que gane después."),
        Code::ClawbackLeftOut =>
            text("Lo que nos debe de antes aún se descontará de su próximo pago.", "No tiene que hacer nada: lo estamos arreglando."),
        Code::TotalTooLarge =>
            text("Su pago supera lo que podemos pagar de una vez.", "No tiene que hacer nada: lo estamos revisando."),
        Code::FeeTableMissing =>
            text("Aún no hemos anotado lo que el servicio de pago cobra en esta moneda.", "No tiene que hacer nada: lo estamos arreglando."),
        Code::PartnerOnHold =>
            text("Los pagos a su favor están retenidos mientras comprobamos algo.", "No tiene que hacer nada; en caso de duda, pregunte a quien dirige su programa de socios."),
        Code::PartnerClosed =>
            text("Ya no figura aquí como socio.", "Pregunte, por favor, a quien dirige su programa de socios."),
        Code::RewardNotApproved =>
            text("Todavía no está aprobado.", "No tiene que hacer nada; lo estamos revisando."),
        Code::RewardExpired =>
            text("Caducó antes de pagarse.", "Pregunte, por favor, a quien dirige su programa de socios."),
        Code::RewardInHoldPeriod =>
            text("Todavía está en el plazo de espera de su programa.", "No tiene que hacer nada: después se podrá pagar."),
        Code::RewardNotCash =>
            text("Los puntos no se pagan.", "No hay nada que hacer."),
        Code::RewardInBatch =>
            text("Está en un pago que se está preparando.", "No tiene que hacer nada."),
        Code::RewardInFlight =>
            text("Ya está en un pago.", "Vea cómo va en «Pagos»."),
        Code::RewardPaid =>
            text("Está pagado.", "No hay nada que hacer."),
        Code::PaymentContradicted =>
            text("Estamos aclarando con el servicio de pago cómo terminó un pago anterior de esto.", "No tiene que hacer nada; nos ocupamos de ello."),
        Code::WaitingForFunds =>
            text("El dinero está en el servicio de pago y todavía no está disponible allí.", "No tiene que hacer nada: pasa a su banco por sí solo."),
        Code::MoneyMissing =>
            text("Estamos averiguando con el servicio de pago dónde está el dinero de este pago.", "No tiene que hacer nada; nos ocupamos de ello."),
        Code::SetAside =>
            text("Estamos corrigiendo el registro de este pago.", "No tiene que hacer nada; nos ocupamos de ello."),
    }
}

#[rustfmt::skip]
pub fn cause(cause: Cause) -> PartnerText {
    match cause {
        Cause::AccountClosed =>
            text("Su cuenta bancaria está cerrada.", "Indique, por favor, una cuenta abierta."),
        Cause::WrongNumber =>
            text("Su banco no conoce el número de cuenta indicado.", "Revise y corrija, por favor, sus datos bancarios."),
        Cause::BankRefuses =>
            text("Su banco no acepta dinero en esta cuenta.", "Hable, por favor, con su banco o indique otra cuenta."),
        Cause::WrongHolder =>
            text("El nombre o los datos del titular no coinciden con los del banco.", "Corrija, por favor, el nombre y los datos del titular."),
        Cause::WrongCurrency =>
            text("Su cuenta bancaria no acepta esta moneda.", "Añada, por favor, una cuenta en esta moneda."),
        Cause::AccountUnfinished =>
            text("Su cuenta de Stripe aún no puede recibir dinero.", "Termine, por favor, lo que Stripe le pide."),
        Cause::Unregistered =>
            text("Esta dirección no tiene una cuenta de PayPal confirmada.", "Abra, por favor, una cuenta de PayPal con exactamente esta dirección o confirme la que tiene. Si la dirección es incorrecta, indique otra en «Cómo me pagan»: este pago no irá allí, pero se le pagará allí en cuanto nos haya sido devuelto."),
        Cause::ReceiverCannot =>
            text("PayPal no puede pagar a su cuenta.", "Ponga en orden su cuenta de PayPal, por favor, o indique otro destino."),
        Cause::Funds | Cause::Ours =>
            text("El pago no se pudo realizar.", "No tiene que hacer nada; nos ocupamos de ello."),
        Cause::BankFailed =>
            text("Su banco no pudo procesar el pago.", "No tiene que hacer nada; lo intentamos otra vez. Si vuelve a fallar, hable, por favor, con su banco."),
        Cause::AccountUnknown =>
            text("Stripe ya no conoce su cuenta, o ya no está conectada con nosotros.", "Conéctela de nuevo, por favor, en «Cómo me pagan»."),
        Cause::Amount =>
            text("El servicio de pago no paga este importe tal como está. Su cuenta bancaria está en orden.", "No tiene que hacer nada; lo pagamos junto con otras recompensas o por partes."),
        Cause::NotClaimed =>
            text("El pago no se aceptó en PayPal.", "Abra, por favor, una cuenta de PayPal con exactamente esta dirección o confirme la que tiene. Si la dirección es incorrecta, indique otra en «Cómo me pagan»: este pago no irá allí, pero se le pagará allí en cuanto nos haya sido devuelto."),
        Cause::Destination =>
            text("PayPal no puede pagar a la dirección que usted indicó.", "Indique, por favor, otra dirección u otra forma de pago en «Cómo me pagan». Entonces le pagaremos allí."),
        Cause::Limit =>
            text("El servicio de pago no paga nada más hoy.", "No tiene que hacer nada; lo intentamos otra vez."),
        Cause::SentBack =>
            text("Este pago nos fue devuelto desde su cuenta.", "Si no era lo que quería, dígaselo, por favor, a quien dirige su programa de socios."),
        Cause::TakenBack =>
            text("El servicio de pago retiró este pago de su cuenta.", "Pregúntele, por favor, el motivo. Nosotros también lo averiguamos."),
        Cause::Held =>
            text("PayPal aún está revisando este pago.", "No tiene que hacer nada, salvo que PayPal le pida algo."),
        Cause::Unclear => gate(Code::MoneyMissing),
    }
}
