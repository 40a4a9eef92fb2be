use proptest::prelude::*;

use super::*;

type Page = Vec<u8>;
type Deltas = Vec<(u32, Delta<Page>)>;

/// A page is what a turn says it is; most of its bytes stay as they are.
fn page(no: u32, version: u8) -> Page {
    let mut page = vec![u8::try_from(no).expect("small"); SQL_PAGE_BYTES];
    page[usize::from(version)] = version;
    page[1_000] = version;
    page
}

/// What is durable.
#[derive(Clone, Debug, Default)]
struct Stored {
    head: u32,
    pages: BTreeMap<u32, Page>,
    log: Vec<(u32, Deltas)>,
}

impl Clone for Delta<Page> {
    fn clone(&self) -> Self {
        match self {
            Delta::Whole(page) => Delta::Whole(page.clone()),
            Delta::Ranges(ranges, page) => Delta::Ranges(ranges.clone(), page.clone()),
        }
    }
}

impl Stored {
    fn apply(&mut self, count: u32, commit: &Commit<Page>) {
        match commit {
            Commit::Log { deltas } => self.log.push((count, deltas.clone())),
            Commit::Fold { pages } => {
                self.log.clear();
                self.pages.extend(pages.iter().cloned());
                self.pages.retain(|no, _| *no <= count);
                self.head = count;
            }
        }
    }

    fn open(&self) -> PageOverlay<Page> {
        let mut overlay = PageOverlay::new(self.head);
        for (count, deltas) in &self.log {
            let bytes = deltas.iter().map(|(_, delta)| delta.bytes()).sum();
            let replayed = deltas.iter().map(|(no, delta)| {
                let replayed = match delta {
                    Delta::Whole(page) => Replayed::Whole(page.clone()),
                    Delta::Ranges(ranges, page) => {
                        let part = |range: &Range<usize>| (range.start, page[range.clone()].into());
                        Replayed::Ranges(ranges.iter().map(part).collect())
                    }
                };
                (*no, replayed)
            });
            overlay.replay((*count, bytes), replayed).expect("a log names whole pages first");
        }
        overlay
    }
}

type Image = BTreeMap<u32, Page>;

fn seen(overlay: &PageOverlay<Page>, stored: &Stored) -> Image {
    let at = |no| match overlay.find(no) {
        Found::Page(page) => page,
        Found::Below => stored.pages.get(&no).expect("what is below is stored").clone(),
        Found::Beyond => panic!("page {no} of {} is beyond the end", overlay.count()),
    };
    (1..=overlay.count()).map(|no| (no, at(no))).collect()
}

#[derive(Clone, Debug)]
enum Step {
    /// A turn writes pages and cuts, and is kept or not.
    Turn { writes: Vec<(u32, u8)>, cut: Option<u32>, is_kept: bool },
    /// So many of the commits on their way become durable.
    Durable(usize),
    /// The process dies, and starts again.
    Crash,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let writes = || prop::collection::vec((1_u32..40, 0_u8..200), 0..12);
    let turn = (writes(), prop::option::weighted(0.05, 1_u32..40), prop::bool::weighted(0.8));
    let turn = turn.prop_map(|(writes, cut, is_kept)| Step::Turn { writes, cut, is_kept });
    let step = prop_oneof![
        12 => turn,
        4 => (0_usize..5).prop_map(Step::Durable),
        1 => Just(Step::Crash),
    ];
    prop::collection::vec(step, 1..250)
}

/// A turn: what it writes, and what a reader then sees.
fn write(overlay: &mut PageOverlay<Page>, image: &mut Image, writes: &[(u32, u8)]) {
    for (no, version) in writes {
        overlay.write(*no, page(*no, *version));
        for missing in 1..*no {
            image.entry(missing).or_insert_with(|| vec![0; SQL_PAGE_BYTES]);
        }
        image.insert(*no, page(*no, *version));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn what_is_stored_is_what_the_commits_left(steps in steps()) {
        let mut stored = Stored::default();
        let (mut overlay, mut durable) = (stored.open(), Image::new());
        let (mut kept, mut place) = (Image::new(), 0);
        // Commits on their way, and what they leave.
        let mut waiting = VecDeque::new();
        for step in steps {
            match step {
                Step::Turn { writes, cut, is_kept } => {
                    let mut image = kept.clone();
                    write(&mut overlay, &mut image, &writes);
                    if let Some(cut) = cut {
                        overlay.truncate(cut);
                        image.retain(|no, _| *no <= cut);
                    }
                    if is_kept {
                        overlay.keep();
                        kept = image;
                    } else {
                        overlay.undo();
                    }
                    if let Some(commit) = overlay.take() {
                        place += 1;
                        overlay.on_submit(place, matches!(commit, Commit::Fold { .. }));
                        waiting.push_back((place, overlay.count(), commit, kept.clone()));
                    }
                }
                Step::Durable(commits) => {
                    for (place, count, commit, image) in waiting.drain(..commits.min(waiting.len())) {
                        stored.apply(count, &commit);
                        durable = image;
                        overlay.on_durable(place);
                    }
                }
                Step::Crash => {
                    waiting.clear();
                    overlay = stored.open();
                    kept = durable.clone();
                }
            }
            prop_assert_eq!(&seen(&overlay, &stored), &kept);
            prop_assert_eq!(seen(&stored.open(), &stored), durable.clone());
        }
    }
}

#[test]
fn a_log_that_is_full_is_folded_and_begins_again() {
    let mut overlay = PageOverlay::<Page>::new(0);
    let mut folds = Vec::new();
    for place in 1..=300 {
        overlay.write(1, page(1, u8::try_from(place % 200).expect("small")));
        assert!(overlay.keep());
        let commit = overlay.take().expect("changed");
        let is_fold = matches!(commit, Commit::Fold { .. });
        if is_fold {
            folds.push(place);
        }
        overlay.on_submit(place, is_fold);
    }
    let period = u64::from(SQL_LOG_ROWS_MAX) + 1;
    assert_eq!(folds, (period..=300).step_by(period as usize).collect::<Vec<_>>());
}

#[test]
fn a_turn_that_writes_what_is_there_changes_nothing() {
    let mut overlay = PageOverlay::of_image([(1, page(1, 7))]);
    overlay.write(1, page(1, 7));
    assert!(!overlay.keep() && overlay.take().is_none());
}
