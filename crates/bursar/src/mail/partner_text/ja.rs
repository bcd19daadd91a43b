//! Gate and failure texts in Japanese.

use payout::eligibility::Code;
use payout::reason::Cause;

use super::{PartnerText, text};

#[rustfmt::skip]
pub fn gate(code: Code) -> PartnerText {
    match code {
        Code::BatchEmpty | Code::ReleaseNeedsOtherPerson | Code::OverLimit | Code::AlreadyPaying | Code::PermissionDenied =>
            text("この支払いは準備中です。", "お手続きは不要です。"),
        Code::ModuleDisabled | Code::SafeMode | Code::BooksDoNotBalance =>
            text("現在、支払いは停止しています。", "お手続きは不要です。獲得された額はそのまま残ります。"),
        Code::VendorNotConnected =>
            text("現在、この決済サービスではお支払いできません。", "お手続きは不要です。「受け取り方法」で別のサービスを選ぶこともできます。"),
        Code::VendorCredentialsRejected | Code::OtherVendorAccount | Code::VendorBalanceLow | Code::TransferReversed
        | Code::UnknownAtVendor =>
            text("決済サービスでの当方の手続きをお待ちいただいています。", "お手続きは不要です。こちらで対応しています。"),
        Code::ProfileMissing =>
            text("このお金の受け取り方法がまだ設定されていません。", "「受け取り方法」で設定してください。"),
        Code::ProfileIncomplete =>
            text("決済サービスはまだこのアカウントに支払えません。", "「受け取り方法」から、求められている手続きを完了してください。"),
        Code::ProfileChangedRecently =>
            text("受け取り方法が最近変更されました。安全のため数日お待ちいただきます。", "ご自身で変更された場合、お手続きは不要です。"),
        Code::DestinationChanged =>
            text("この支払いの準備後に受け取り方法が変更されました。", "お手続きは不要です。確認のうえ、改めて準備します。"),
        Code::TaxReportMissing =>
            text("税務書類が提出されていません。", "「税務書類」からご記入ください。"),
        Code::TaxReportExpired =>
            text("税務書類の有効期限が切れています。", "「税務書類」から新しいものをご記入ください。"),
        Code::BelowThreshold =>
            text("最低支払額に達していません。", "お手続きは不要です。額に達し次第お支払いします。"),
        Code::AboveVendorMax | Code::AmountNotPayable =>
            text("決済サービスはこの金額をそのまま支払えません。", "お手続きは不要です。分割するか、他の報酬とまとめてお支払いします。"),
        Code::CurrencyUnsupported =>
            text("この通貨はご登録の口座では受け取れません。", "この通貨の口座を追加するか、別の受け取り方法を選んでください。"),
        Code::CountryUnsupported =>
            text("決済サービスはこの通貨をその国の中でのみ支払います。", "別の受け取り方法を選んでください。"),
        Code::NetNotPositive =>
            text("取消分と手数料を差し引くと、お支払いする額がありません。", "お手続きは不要です。次に獲得された額で調整されます。"),
        Code::ClawbackLeftOut =>
            text("以前の取消分を次回のお支払いから差し引く手続きをしています。", "お手続きは不要です。当社で対応しています。"),
        Code::TotalTooLarge =>
            text("お支払い額が一度にお支払いできる上限を超えています。", "お手続きは不要です。当社で確認しています。"),
        Code::FeeTableMissing =>
            text("この通貨の決済サービス手数料がまだ登録されていません。", "お手続きは不要です。当社で対応しています。"),
        Code::PartnerOnHold =>
            text("確認のため、お支払いを保留しています。", "お手続きは不要です。ご不明な点はプログラムの運営者にお尋ねください。"),
        Code::PartnerClosed =>
            text("パートナーとしての登録が終了しています。", "プログラムの運営者にお尋ねください。"),
        Code::RewardNotApproved =>
            text("まだ承認されていません。", "お手続きは不要です。審査中です。"),
        Code::RewardExpired =>
            text("支払い前に期限が切れました。", "プログラムの運営者にお尋ねください。"),
        Code::RewardInHoldPeriod =>
            text("プログラムの待機期間中です。", "お手続きは不要です。期間が過ぎるとお支払いできます。"),
        Code::RewardNotCash =>
            text("ポイントは支払いの対象ではありません。", "お手続きは不要です。"),
        Code::RewardInBatch =>
            text("準備中の支払いに含まれています。", "お手続きは不要です。"),
        Code::RewardInFlight =>
            text("すでに支払いに含まれています。", "状況は「支払い」でご覧いただけます。"),
        Code::RewardPaid =>
            text("お支払い済みです。", "お手続きは不要です。"),
        Code::PaymentContradicted =>
            text("以前のお支払いの結果を決済サービスに確認しています。", "お手続きは不要です。当方で確認しています。"),
        Code::WaitingForFunds =>
            text("お金は決済サービスにあり、まだ利用できる状態になっていません。", "お手続きは不要です。自動的に銀行へ送られます。"),
        Code::MoneyMissing =>
            text("このお支払いのお金がどこにあるかを決済サービスに確認しています。", "お手続きは不要です。当方で確認しています。"),
        Code::SetAside =>
            text("このお支払いの記録を修正しています。", "お手続きは不要です。当方で確認しています。"),
    }
}

#[rustfmt::skip]
pub fn cause(cause: Cause) -> PartnerText {
    match cause {
        Cause::AccountClosed =>
            text("ご登録の銀行口座は解約されています。", "有効な銀行口座をご登録ください。"),
        Cause::WrongNumber =>
            text("ご登録の口座番号を銀行が確認できません。", "口座情報をご確認のうえ、訂正してください。"),
        Cause::BankRefuses =>
            text("この口座では入金を受け付けていません。", "銀行にお問い合わせいただくか、別の口座をご登録ください。"),
        Cause::WrongHolder =>
            text("口座名義などの情報が銀行の登録と一致しません。", "口座名義と情報を訂正してください。"),
        Cause::WrongCurrency =>
            text("ご登録の口座はこの通貨を受け取れません。", "この通貨の口座を追加してください。"),
        Cause::AccountUnfinished =>
            text("Stripe アカウントがまだ受け取れる状態ではありません。", "Stripe が求める手続きを完了してください。"),
        Cause::Unregistered =>
            text("このアドレスには確認済みの PayPal アカウントがありません。", "このアドレスとまったく同じアドレスで PayPal アカウントを開設するか、お持ちのアカウントを確認してください。アドレスが誤っている場合は「受け取り方法」で別のアドレスをご登録ください。このお支払いは新しいアドレスには送られませんが、当方に戻り次第、そちらにお支払いします。"),
        Cause::ReceiverCannot =>
            text("PayPal がお客様のアカウントに支払えません。", "PayPal アカウントの状態をご確認いただくか、別の受取先をご登録ください。"),
        Cause::Funds | Cause::Ours =>
            text("お支払いを実行できませんでした。", "お手続きは不要です。こちらで対応しています。"),
        Cause::BankFailed =>
            text("銀行が支払いを処理できませんでした。", "お手続きは不要です。もう一度お支払いを試みます。再び失敗した場合は銀行にお問い合わせください。"),
        Cause::AccountUnknown =>
            text("Stripe がお客様のアカウントを確認できないか、当方との連携が切れています。", "「受け取り方法」から再度連携してください。"),
        Cause::Amount =>
            text("決済サービスはこの金額をそのままでは支払えません。ご登録の銀行口座に問題はありません。", "お手続きは不要です。他の報酬とまとめるか、分割してお支払いします。"),
        Cause::NotClaimed =>
            text("PayPal で支払いが受け取られませんでした。", "このアドレスとまったく同じアドレスで PayPal アカウントを開設するか、お持ちのアカウントを確認してください。アドレスが誤っている場合は「受け取り方法」で別のアドレスをご登録ください。このお支払いは新しいアドレスには送られませんが、当方に戻り次第、そちらにお支払いします。"),
        Cause::Destination =>
            text("ご登録のアドレスには PayPal で支払うことができません。", "「受け取り方法」で別のアドレスまたは別の受け取り方法をご登録ください。そちらにお支払いします。"),
        Cause::Limit =>
            text("本日は決済サービスからこれ以上の支払いができません。", "お手続きは不要です。もう一度お支払いを試みます。"),
        Cause::SentBack =>
            text("このお支払いはお客様のアカウントから返金されました。", "お心当たりがない場合は、パートナープログラムの運営者にご連絡ください。"),
        Cause::TakenBack =>
            text("決済サービスがこのお支払いをお客様のアカウントから引き戻しました。", "理由を決済サービスにお問い合わせください。こちらでも確認します。"),
        Cause::Held =>
            text("PayPal がこのお支払いを確認しています。", "PayPal から依頼がない限り、お手続きは不要です。"),
        Cause::Unclear => gate(Code::MoneyMissing),
    }
}
