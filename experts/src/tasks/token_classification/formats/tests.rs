use super::*;

#[track_caller]
fn check(text: &str, expected: &[(Kind, &str)]) {
    let formats = Formats {
        card_number: Some("CARD".into()),
        iban: Some("IBAN".into()),
        ip_address: Some("IP".into()),
        email_address: Some("EMAIL".into()),
    };
    let found = ByFormat::new(&formats).find(text);
    let found: Vec<_> = found.iter().map(|told| (told.kind, &text[told.start..told.end])).collect();
    assert_eq!(found, expected, "{text}");
}

#[test]
fn card_numbers_are_found_as_people_write_them() {
    use Kind::CardNumber;
    check("pay with 4111111111111111, please", &[(CardNumber, "4111111111111111")]);
    check("4111 1111 1111 1111 12/29", &[(CardNumber, "4111 1111 1111 1111")]);
    check("(5500-0055-5555-5559)", &[(CardNumber, "5500-0055-5555-5559")]);
    check(
        "Größe 3400 000000 00009 und 30569309025904",
        &[(CardNumber, "3400 000000 00009"), (CardNumber, "30569309025904")],
    );
}

#[test]
fn numbers_that_only_look_like_cards_are_not() {
    for text in [
        "4111111111111112",
        "4111 1111 11111111",
        "41111111111111111111",
        "x4111111111111111",
        // Passes Luhn's formula, and no issuer has it.
        "1234567812345670",
        "0000000000000000",
        "٤١١١١١١١١١١١١١١١",
        "",
    ] {
        check(text, &[]);
    }
}

#[test]
fn ibans_are_found_in_one_piece_and_in_groups() {
    use Kind::Iban;
    check("to GB82WEST12345698765432.", &[(Iban, "GB82WEST12345698765432")]);
    check("IBAN DE89 3704 0044 0532 0130 00 please", &[(Iban, "DE89 3704 0044 0532 0130 00")]);
    check("DE88 3704 0044 0532 0130 00", &[]);
    check(
        "DE89370400440532013000 4111111111111111",
        &[(Iban, "DE89370400440532013000"), (Kind::CardNumber, "4111111111111111")],
    );
}

#[test]
fn nothing_is_looked_for_that_has_no_name() {
    let found = ByFormat::new(&Formats::default()).find("4111111111111111 to a@b.org at 10.0.0.1");
    assert_eq!(found, []);
}

#[test]
fn addresses_are_found_where_they_end() {
    use Kind::{EmailAddress, IpAddress};
    check("Größe an jane.doe+x@mail.example.org.", &[(EmailAddress, "jane.doe+x@mail.example.org")]);
    check("a@b.c,d-e@f.g", &[(EmailAddress, "a@b.c"), (EmailAddress, "d-e@f.g")]);
    check("@anna meet me @home, a@b, @.org, x@..org", &[]);
    check("server 192.168.0.17.", &[(IpAddress, "192.168.0.17")]);
    check("ü 1.2.3.4/24 1.2.3.400 1.2.3 1.2.3.4.5 v1.2.3.4", &[(IpAddress, "1.2.3.4")]);
}

#[test]
fn an_address_that_holds_a_number_is_one_find() {
    check("4111111111111111@bank.example", &[(Kind::EmailAddress, "4111111111111111@bank.example")]);
}
