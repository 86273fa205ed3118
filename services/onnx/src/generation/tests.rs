//! Searches over a language of a few tokens, whose probabilities stand in a table by what was read last. It remembers every
//! hypothesis whole, so that one which goes on from the wrong memory is found out.

use std::collections::HashMap;

use super::*;

const PAD: u32 = 0;
const END: u32 = 1;
const A: u32 = 2;
const B: u32 = 3;
const C: u32 = 4;
const N: usize = 5;

/// Probabilities of the next token, by token; what is not there is impossible.
type Next = [(u32, f32)];

/// What comes next by all that was read before it.
struct Table {
    of: HashMap<Vec<u32>, Vec<(u32, f32)>>,
    /// Of hypotheses that the table does not know.
    otherwise: Vec<(u32, f32)>,
    read: Vec<Vec<u32>>,
    logits: Vec<f32>,
    n_rows: Vec<usize>,
}

impl Table {
    fn new(of: &[(&[u32], &Next)], otherwise: &Next) -> Self {
        let of = of.iter().map(|(read, next)| (read.to_vec(), next.to_vec())).collect();
        Self { of, otherwise: otherwise.to_vec(), read: Vec::new(), logits: Vec::new(), n_rows: Vec::new() }
    }
}

impl Decoder for Table {
    fn step(&mut self, tokens: &[i64]) -> Result<&[f32], RunError> {
        if self.read.is_empty() {
            self.read = vec![Vec::new(); tokens.len()];
        }
        assert_eq!(self.read.len(), tokens.len());
        self.n_rows.push(tokens.len());
        self.logits.clear();
        for (read, token) in self.read.iter_mut().zip(tokens) {
            read.push(u32::try_from(*token).unwrap());
            let mut logits = vec![f32::NEG_INFINITY; N];
            // The start token is the same everywhere.
            let next = self.of.get(&read[1..]).unwrap_or(&self.otherwise);
            // Not normalised, as logits are not.
            next.iter().for_each(|(token, p)| logits[*token as usize] = p.ln() + 3.0);
            self.logits.extend(logits);
        }
        Ok(&self.logits)
    }

    fn select(&mut self, parents: &[usize]) -> Result<(), RunError> {
        self.read = parents.iter().map(|parent| self.read[*parent].clone()).collect();
        Ok(())
    }
}

fn rules() -> Rules {
    let config = GenerationConfig {
        start_token: PAD,
        end_token: END,
        pad_token: PAD,
        max_length: 9,
        num_beams: NumBeams::GREEDY,
        length_penalty: 1.0,
        early_stopping: false,
    };
    Rules { config, n_vocabulary: N }
}

fn beams(n: u64) -> NumBeams {
    NumBeams::try_from(n).unwrap()
}

fn answers(table: &mut Table, rules: Rules, num_beams: &[u64]) -> Vec<Result<Generated, RunError>> {
    let caller = Caller::default();
    let prompts: Vec<_> =
        num_beams.iter().map(|n| Prompt { ids: &[A], num_beams: beams(*n), caller: &caller }).collect();
    generate(table, rules, &prompts).unwrap()
}

/// The answer, and the probabilities of its tokens.
#[track_caller]
fn check(table: &mut Table, rules: Rules, num_beams: u64, ids: &[u32], probabilities: &[f32]) {
    let answer = answers(table, rules, &[num_beams]).remove(0).unwrap();
    assert_eq!(answer.ids, ids);
    let score = probabilities.iter().map(|p| p.ln()).sum::<f32>() / probabilities.len() as f32;
    assert!((answer.score - score).abs() < 1e-5, "expected {score}, found {}", answer.score);
}

/// `A` first looks better and leads nowhere good; on the way there, the two hypotheses change places.
fn fork() -> Table {
    Table::new(
        &[
            (&[], &[(A, 0.6), (B, 0.4)]),
            (&[A], &[(A, 0.5), (B, 0.5)]),
            (&[B], &[(C, 0.9), (A, 0.1)]),
            (&[B, C], &[(B, 1.0)]),
        ],
        &[(END, 1.0)],
    )
}

#[test]
fn greedy_search_takes_the_likeliest_token_of_each_step() {
    check(&mut fork(), rules(), 1, &[A, A], &[0.6, 0.5, 1.0]);
}

#[test]
fn beam_search_finds_what_greedy_search_misses() {
    check(&mut fork(), rules(), 2, &[B, C, B], &[0.4, 0.9, 1.0, 1.0]);
    let mut table = fork();
    check(&mut table, rules(), 8, &[B, C, B], &[0.4, 0.9, 1.0, 1.0]);
    assert_eq!(table.n_rows[..2], [1, 2], "no beam is there twice");
}

#[test]
fn rows_of_one_batch_do_not_know_of_each_other() {
    let all = answers(&mut fork(), rules(), &[1, 4, 2, 1]);
    for (n, answer) in [1, 4, 2, 1].into_iter().zip(all) {
        assert_eq!(answer, answers(&mut fork(), rules(), &[n]).remove(0));
    }
}

#[test]
fn a_row_that_is_finished_costs_nothing_more() {
    let mut table = Table::new(&[(&[], &[(A, 1.0)]), (&[A], &[(END, 1.0)])], &[(END, 1.0)]);
    answers(&mut table, rules(), &[1, 1, 1]);
    assert_eq!(table.n_rows, [3, 3]);
    let mut fork = fork();
    answers(&mut fork, rules(), &[1, 2]);
    assert_eq!(
        fork.n_rows,
        [2, 3, 3, 1],
        "both begin with one, and the greedy row is done after three steps"
    );
}

#[test]
fn the_length_penalty_decides_between_short_and_long() {
    let table =
        || Table::new(&[(&[], &[(END, 0.45), (A, 0.55)]), (&[A], &[(END, 0.8), (A, 0.2)])], &[(END, 1.0)]);
    let with =
        |length_penalty| Rules { config: GenerationConfig { length_penalty, ..rules().config }, ..rules() };
    // ln 0.45 = -0.80 for one token, ln 0.44 = -0.82 for two.
    check(&mut table(), with(0.0), 2, &[], &[0.45]);
    check(&mut table(), with(1.0), 2, &[A], &[0.55, 0.8]);
}

#[test]
fn what_is_as_long_as_may_be_ends_there() {
    let table = || Table::new(&[], &[(A, 0.7), (B, 0.2), (END, 0.1)]);
    let rules = Rules { config: GenerationConfig { max_length: 4, ..rules().config }, ..rules() };
    check(&mut table(), rules, 1, &[A, A, A], &[0.7, 0.7, 0.7]);
    check(&mut table(), rules, 2, &[A, A, A], &[0.7, 0.7, 0.7]);
    let mut table = table();
    answers(&mut table, rules, &[2]);
    assert_eq!(table.n_rows.len(), 3, "max_length counts the start token");
}

#[test]
fn a_short_source_has_no_long_answer() {
    assert_eq!(max_tokens(&rules().config, 100), 8);
    let long = GenerationConfig { max_length: 512, ..rules().config };
    assert_eq!((max_tokens(&long, 1), max_tokens(&long, 10), max_tokens(&long, 400)), (19, 46, 511));
    assert_eq!(max_tokens(&long, usize::MAX), 511);
}

#[test]
fn early_stopping_is_content_with_the_first_that_are_finished() {
    let table = || {
        Table::new(
            &[
                (&[], &[(END, 0.3), (A, 0.35), (B, 0.35)]),
                (&[A], &[(END, 0.3), (C, 0.7)]),
                (&[B], &[(END, 0.3), (C, 0.7)]),
            ],
            &[(END, 1.0)],
        )
    };
    let early = Rules { config: GenerationConfig { early_stopping: true, ..rules().config }, ..rules() };
    let steps = |rules| {
        let mut table = table();
        answers(&mut table, rules, &[2]);
        table.n_rows.len()
    };
    assert!(steps(early) <= steps(rules()));
    check(&mut table(), rules(), 2, &[A, C], &[0.35, 0.7, 1.0]);
}

#[test]
fn padding_and_start_are_never_chosen() {
    let table = || Table::new(&[(&[], &[(PAD, 0.9), (A, 0.1)])], &[(PAD, 0.9), (END, 0.1)]);
    check(&mut table(), rules(), 1, &[A], &[0.1, 0.1]);
    check(&mut table(), rules(), 3, &[A], &[0.1, 0.1]);
    // A model whose texts begin with what ends them.
    let config = GenerationConfig { start_token: END, ..rules().config };
    let table = || Table::new(&[(&[], &[(A, 1.0)])], &[(END, 1.0)]);
    check(&mut table(), Rules { config, ..rules() }, 1, &[A], &[1.0, 1.0]);
}

#[test]
fn no_tokens_are_an_answer() {
    let table = || Table::new(&[], &[(END, 0.8), (A, 0.2)]);
    check(&mut table(), rules(), 1, &[], &[0.8]);
    check(&mut table(), rules(), 2, &[], &[0.8]);
}

#[test]
fn a_row_without_a_choice_fails_alone() {
    let failed = |error: &str| Err(RunError::Failed(error.to_owned()));
    for n in [1, 2] {
        let mut table = Table::new(&[], &[(PAD, 1.0)]);
        assert_eq!(answers(&mut table, rules(), &[n]), [failed("the model leaves no token to choose")]);
        let mut table = Table::new(&[], &[(A, f32::NAN)]);
        let error = "the model gave a logit that is not a finite number";
        assert_eq!(answers(&mut table, rules(), &[n]), [failed(error)]);
    }
}

/// Leaves after the second step.
struct Leaving<'a>(Table, &'a Caller);

impl Decoder for Leaving<'_> {
    fn step(&mut self, tokens: &[i64]) -> Result<&[f32], RunError> {
        if self.0.n_rows.len() == 2 {
            self.1.leave();
        }
        self.0.step(tokens)
    }

    fn select(&mut self, parents: &[usize]) -> Result<(), RunError> {
        self.0.select(parents)
    }
}

#[test]
fn who_leaves_ends_their_rows_between_two_steps_and_no_others() {
    let (impatient, patient) = (Caller::default(), Caller::default());
    let table = Table::new(&[], &[(A, 0.9), (END, 0.1)]);
    let mut leaving = Leaving(table, &impatient);
    let prompt = |caller| Prompt { ids: &[A], num_beams: beams(1), caller };
    let prompts = [prompt(&impatient), prompt(&patient), prompt(&impatient)];
    let answers = generate(&mut leaving, rules(), &prompts).unwrap();
    assert_eq!(leaving.0.n_rows, [3, 3, 3, 1, 1, 1, 1, 1]);
    assert_eq!(answers[0], Err(RunError::DeadlineExceeded));
    assert_eq!(answers[1].as_ref().unwrap().ids, [A; 8]);
    assert_eq!(answers[2], Err(RunError::DeadlineExceeded));
}
