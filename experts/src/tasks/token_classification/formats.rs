//! What is told by its format alone: numbers of payment cards, by Luhn's formula, and of bank accounts (IBAN), by ISO 7064,
//! in the groups that people write them in; IP and e-mail addresses.
//!
//! One number in ten passes Luhn's formula by chance. So a number is a card's only if it is also in the range of an issuer,
//! as long as that issuer's numbers are, and written in one piece or in the groups of a card.

use std::{net::Ipv4Addr, ops::Range};

use iban::Iban;
use nanogrid_settings::package::Formats;

/// What is looked for, and what it is called when it is found.
#[derive(Debug)]
pub(super) struct ByFormat(Formats);

/// A part of a text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) kind: Kind,
    pub(super) start: usize,
    pub(super) end: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Iban,
    CardNumber,
    IpAddress,
    EmailAddress,
}

/// The longest way to write an IBAN: 34 characters in groups of four.
const MOST_GROUPS: usize = 9;

impl ByFormat {
    pub(super) fn new(formats: &Formats) -> Self {
        Self(formats.clone())
    }

    /// Its name; empty for what is not looked for.
    pub(super) fn entity(&self, kind: Kind) -> &str {
        let formats = &self.0;
        match kind {
            Kind::Iban => &formats.iban,
            Kind::CardNumber => &formats.card_number,
            Kind::IpAddress => &formats.ip_address,
            Kind::EmailAddress => &formats.email_address,
        }
        .as_deref()
        .unwrap_or_default()
    }

    fn wants(&self, kind: Kind) -> bool {
        !self.entity(kind).is_empty()
    }

    /// In the order of the text; none overlaps another.
    pub(super) fn find(&self, text: &str) -> Vec<Told> {
        let mut found = Vec::new();
        if self.wants(Kind::EmailAddress) {
            found.extend(email_addresses(text));
        }
        if self.wants(Kind::IpAddress) {
            found.extend(ip_addresses(text));
        }
        if self.wants(Kind::Iban) || self.wants(Kind::CardNumber) {
            found.extend(self.numbers(text));
        }
        // An address may hold a number; the other way round it cannot be. The sort keeps the order above among equals.
        found.sort_by_key(|told: &Told| told.start);
        let mut end = 0;
        found.retain(|told| {
            let is_free = told.start >= end;
            end = if is_free { told.end } else { end };
            is_free
        });
        found
    }

    fn numbers(&self, text: &str) -> Vec<Told> {
        let words = words(text);
        let mut found = Vec::new();
        let mut at = 0;
        while at < words.len() {
            let (kind, n_words) = match self.number(text, &words[at..]) {
                Some(number) => number,
                None => {
                    at += 1;
                    continue;
                }
            };
            found.push(Told { kind, start: words[at].start, end: words[at + n_words - 1].end });
            at += n_words;
        }
        found
    }

    /// What begins with the first of `words`, and how many of them it takes: as many as it can.
    fn number(&self, text: &str, words: &[Range<usize>]) -> Option<(Kind, usize)> {
        let n_words =
            1 + words.windows(2).take(MOST_GROUPS - 1).take_while(|pair| are_joined(text, pair)).count();
        (1..=n_words).rev().find_map(|n_words| {
            let groups: Vec<&str> = words[..n_words].iter().map(|word| &text[word.clone()]).collect();
            if self.wants(Kind::Iban) && is_iban(&groups) {
                Some((Kind::Iban, n_words))
            } else if self.wants(Kind::CardNumber) && is_card_number(&groups) {
                Some((Kind::CardNumber, n_words))
            } else {
                None
            }
        })
    }
}

/// `name@host.domain`, each of the letters that nearly all addresses have.
fn email_addresses(text: &str) -> Vec<Told> {
    let of_name = |letter: &u8| letter.is_ascii_alphanumeric() || b"._%+-".contains(letter);
    let of_host = |letter: &u8| letter.is_ascii_alphanumeric() || b".-".contains(letter);
    let bytes = text.as_bytes();
    let mut found: Vec<Told> = Vec::new();
    for (at, _) in text.match_indices('@') {
        let begin = found.last().map_or(0, |told| told.end);
        let start = at - bytes[begin..at].iter().rev().take_while(|letter| of_name(letter)).count();
        let host = bytes[at + 1..].iter().take_while(|letter| of_host(letter)).count();
        let host = text[at + 1..at + 1 + host].trim_end_matches(['.', '-']);
        let has_domain = host.contains('.') && host.split('.').all(|label| !label.is_empty());
        if start < at && has_domain {
            found.push(Told { kind: Kind::EmailAddress, start, end: at + 1 + host.len() });
        }
    }
    found
}

fn ip_addresses(text: &str) -> Vec<Told> {
    let mut found = Vec::new();
    let mut at = 0;
    for piece in text.split(|letter: char| !letter.is_alphanumeric() && letter != '.') {
        let start = at + (piece.len() - piece.trim_start_matches('.').len());
        at += piece.len() + text[at + piece.len()..].chars().next().map_or(0, char::len_utf8);
        let piece = piece.trim_matches('.');
        if piece.parse::<Ipv4Addr>().is_ok() {
            found.push(Told { kind: Kind::IpAddress, start, end: start + piece.len() });
        }
    }
    found
}

/// Runs of letters and digits, by their place.
fn words(text: &str) -> Vec<Range<usize>> {
    let mut words: Vec<Range<usize>> = Vec::new();
    for (at, letter) in text.char_indices().filter(|(_, letter)| letter.is_alphanumeric()) {
        let end = at + letter.len_utf8();
        match words.last_mut().filter(|word| word.end == at) {
            Some(word) => word.end = end,
            None => words.push(at..end),
        }
    }
    words
}

/// Only one blank or hyphen lies between the two.
fn are_joined(text: &str, pair: &[Range<usize>]) -> bool {
    matches!(&text[pair[0].end..pair[1].start], " " | "-")
}

fn is_iban(groups: &[&str]) -> bool {
    // In groups, all but the last have four characters.
    let Some((_, full)) = groups.split_last() else { return false };
    (groups.len() == 1 || full.iter().all(|group| group.len() == 4))
        && groups.concat().parse::<Iban>().is_ok()
}

fn is_card_number(groups: &[&str]) -> bool {
    let lengths: Vec<usize> = groups.iter().map(|group| group.len()).collect();
    let number = groups.concat();
    let is_number = number.bytes().all(|letter| letter.is_ascii_digit());
    let is_written_so =
        matches!(lengths[..], [12..=19] | [4, 4, 4, 4] | [4, 4, 4, 4, 3] | [4, 6, 5] | [4, 6, 4]);
    is_number && is_written_so && is_issued(&number) && luhn(number.as_bytes())
}

/// Whether a known issuer has numbers of this beginning and length (ISO/IEC 7812).
fn is_issued(number: &str) -> bool {
    let begins = |n: usize| number.get(..n).and_then(|digits| digits.parse::<u32>().ok()).unwrap_or(0);
    let length = number.len();
    match (begins(1), begins(2), begins(4)) {
        // Visa
        (4, ..) => matches!(length, 13 | 16 | 19),
        // American Express
        (_, 34 | 37, _) => length == 15,
        // Mastercard
        (_, 51..=55, _) | (_, _, 2221..=2720) => length == 16,
        // Diners Club
        (_, 30 | 36 | 38 | 39, _) => length == 14,
        // JCB
        (_, _, 3528..=3589) => matches!(length, 16..=19),
        (_, _, 1800 | 2131) => length == 15,
        // Maestro, Discover, UnionPay
        (_, 50 | 56..=58 | 60..=69, _) => true,
        _ => false,
    }
}

/// Every second digit from the right doubled, and the digits of all of them summed.
fn luhn(digits: &[u8]) -> bool {
    let digit = |(i, letter): (usize, &u8)| {
        let digit = u32::from(letter - b'0');
        match (i % 2, digit) {
            (0, _) => digit,
            (_, 0..=4) => digit * 2,
            _ => digit * 2 - 9,
        }
    };
    digits.iter().rev().enumerate().map(digit).sum::<u32>().is_multiple_of(10)
}

#[cfg(test)]
mod tests;
