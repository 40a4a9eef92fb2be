//! Frames that leave too early, of turns that were undone, in another order or to the wrong ones; sockets that are forgotten, and
//! whose end is heard twice or never.

use crate::{DIALS, Edit, FEEDS, Mutant, SOCKETS};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "dial_before_commit",
        bug: "a socket that a turn opens is opened when the turn has ended, durable or not",
        edits: &[Edit {
            file: "durable/src/socket/lobby.rs",
            find: "        *self.dials.get_mut() = dials;",
            replace: r#"        if crate::mutant("dial_before_commit") {
            dials.into_iter().for_each(Dialing::begin);
        } else {
            *self.dials.get_mut() = dials;
        }"#,
        }],
        seeds: 100,
        found_by: &["panic"],
        test: DIALS,
    },
    Mutant {
        name: "dial_of_savepoint",
        bug: "a socket is opened that a savepoint opens which was undone",
        edits: &[Edit {
            file: "durable/src/object/sockets.rs",
            find: "        desk.dealt.dials.truncate(dials);",
            replace: r#"        if !crate::mutant("dial_of_savepoint") {
            desk.dealt.dials.truncate(dials);
        }"#,
        }],
        seeds: 20,
        found_by: &["panic"],
        test: DIALS,
    },
    Mutant {
        name: "unreachable_untold",
        bug: "an object does not hear that a socket could not be opened",
        edits: &[Edit {
            file: "durable/src/socket/dial.rs",
            find: "            Err(ending) => line.end(ending).await,",
            replace: r#"            Err(_) if crate::mutant("unreachable_untold") => std::mem::forget(line),
            Err(ending) => line.end(ending).await,"#,
        }],
        seeds: 20,
        found_by: &["panic"],
        test: DIALS,
    },
    Mutant {
        name: "dial_not_given_up",
        bug: "a socket that is closed before it is open is waited for all the same",
        edits: &[Edit {
            file: "durable/src/socket/dial.rs",
            find: "        Fate::Closing | Fate::Cut => Poll::Ready(()),",
            replace: r#"        Fate::Closing | Fate::Cut if crate::mutant("dial_not_given_up") => Poll::Pending,
        Fate::Closing | Fate::Cut => Poll::Ready(()),"#,
        }],
        seeds: 20,
        found_by: &["panic"],
        test: DIALS,
    },
    Mutant {
        name: "frames_leave_before_their_commit",
        bug: "what a turn sends to sockets leaves when the turn has ended, durable or not",
        edits: &[Edit {
            file: "durable/src/object/sockets.rs",
            find: "        Gate::Open => leaving.leave(),",
            replace: r#"        _ if crate::mutant("frames_leave_before_their_commit") => leaving.leave(),
        Gate::Open => leaving.leave(),"#,
        }],
        seeds: 20,
        found_by: &["work"],
        test: SOCKETS,
    },
    Mutant {
        name: "frames_of_failed_commit",
        bug: "what a turn sends to sockets leaves although the turn's commit has failed",
        edits: &[Edit {
            file: "durable/src/socket/lobby.rs",
            find: "        if durable.is_ok() {\n            self.leave();",
            replace: r#"        if durable.is_ok() || crate::mutant("frames_of_failed_commit") {
            self.leave();"#,
        }],
        seeds: 300,
        found_by: &["work"],
        test: SOCKETS,
    },
    Mutant {
        name: "frames_of_savepoint",
        bug: "what was sent to sockets inside of a savepoint that was undone leaves",
        edits: &[Edit {
            file: "durable/src/object/sockets.rs",
            find: "        desk.dealt.deeds.truncate(deeds);",
            replace: r#"        if !crate::mutant("frames_of_savepoint") {
            desk.dealt.deeds.truncate(deeds);
        }"#,
        }],
        seeds: 20,
        found_by: &["panic"],
        test: SOCKETS,
    },
    Mutant {
        name: "frames_of_failed_turn",
        bug: "what a turn that refuses has sent to sockets leaves",
        edits: &[Edit {
            file: "durable/src/object/write.rs",
            find: "    let turn = (method, running.number());",
            replace: r#"    let turn = (method, running.number());
    let mut beside = beside;
    if ended == Ended::Rejected
        && crate::mutant("frames_of_failed_turn")
        && let Some(beside) = &mut beside
    {
        begin_work(slot, live, turn, std::mem::take(&mut beside.spawned));
    }"#,
        }],
        seeds: 20,
        found_by: &["work"],
        test: SOCKETS,
    },
    Mutant {
        name: "frames_in_another_order",
        bug: "what waits to be written to a socket is written last in, first out",
        edits: &[Edit {
            file: "durable/src/kernel/sockets.rs",
            find: "        let (out, bytes) = one.queue.pop_front()?;",
            replace: r#"        let (out, bytes) = match crate::mutant("frames_in_another_order") {
            true => one.queue.pop_back()?,
            false => one.queue.pop_front()?,
        };"#,
        }],
        seeds: 100,
        found_by: &["panic"],
        test: SOCKETS,
    },
    Mutant {
        name: "socket_forgotten_by_eviction",
        bug: "what is known of a socket is gone when its object has left memory",
        edits: &[Edit {
            file: "durable/src/object/ends.rs",
            find: "        End::Asked | End::Cut(Cut::Parted) => Ok(()),",
            replace: r#"        End::Asked | End::Cut(Cut::Parted) => {
            if crate::mutant("socket_forgotten_by_eviction")
                && let Some(lobby) = slot.group().lobbies().of(slot.id_ref())
            {
                lobby.with(|sockets| sockets.all().collect::<Vec<_>>().into_iter().for_each(|one| sockets.forget(one)));
            }
            Ok(())
        }"#,
        }],
        seeds: 20,
        found_by: &["panic"],
        test: SOCKETS,
    },
    Mutant {
        name: "card_not_settled",
        bug: "tags and attachments that turns give are lost when the turns are durable",
        edits: &[Edit {
            file: "durable/src/kernel/sockets.rs",
            find: "            if let Deed::Card(_, deed) = &deed\n                && is_durable",
            replace: r#"            if let Deed::Card(_, deed) = &deed
                && (matches!(deed, CardDeed::LetIn) || !crate::mutant("card_not_settled"))
                && is_durable"#,
        }],
        seeds: 20,
        found_by: &["panic"],
        test: SOCKETS,
    },
    Mutant {
        name: "end_of_socket_heard_twice",
        bug: "an object hears twice that a socket has ended",
        edits: &[Edit {
            file: "durable/src/socket/line.rs",
            find: "        let told = told?;",
            replace: r#"        let mut told = told?;
        if crate::mutant("end_of_socket_heard_twice") {
            let again = port.ended(self.socket, Ending::gone());
            let once = told;
            told = Box::pin(async move {
                once.await?;
                again.expect("it hears of ends").await
            });
        }"#,
        }],
        seeds: 20,
        found_by: &["panic"],
        test: SOCKETS,
    },
    Mutant {
        name: "silent_socket_kept",
        bug: "a socket whose other end is silent stays for ever",
        edits: &[Edit {
            file: "durable/src/socket/attached.rs",
            find: "                Stage::Open if self.is_asked => {",
            replace: r#"                Stage::Open if self.is_asked && !crate::mutant("silent_socket_kept") => {"#,
        }],
        seeds: 100,
        found_by: &["panic"],
        test: SOCKETS,
    },
    Mutant {
        name: "messages_of_socket_out_of_order",
        bug: "messages of a socket have no place among its others until those before are over",
        edits: &[
            Edit {
                file: "durable/src/socket/attached.rs",
                find: "        self.under_way.retain_mut(|heard| heard.as_mut().poll(task).is_pending());",
                replace: r#"        if crate::mutant("messages_of_socket_out_of_order") {
            self.under_way.make_contiguous().reverse();
        }
        self.under_way.retain_mut(|heard| heard.as_mut().poll(task).is_pending());"#,
            },
            Edit {
                file: "durable/src/socket/attached.rs",
                find: "                && heard.as_mut().poll(task).is_pending()",
                replace: r#"                && (crate::mutant("messages_of_socket_out_of_order") && { task.waker().wake_by_ref(); true }
                    || heard.as_mut().poll(task).is_pending())"#,
            },
        ],
        seeds: 100,
        found_by: &["panic"],
        test: SOCKETS,
    },
    Mutant {
        name: "event_not_kept",
        bug: "an event that is broadcast is not there for those who follow later",
        edits: &[Edit {
            file: "durable/src/object/broadcast.rs",
            find: "        self.kv().put_bytes(key(tag, seq), message.as_bytes())?;",
            replace: r#"        if !crate::mutant("event_not_kept") {
            self.kv().put_bytes(key(tag, seq), message.as_bytes())?;
        }"#,
        }],
        seeds: 30,
        found_by: &["panic"],
        test: FEEDS,
    },
    Mutant {
        name: "event_followed_twice",
        bug: "whoever follows gets the event again that he has seen last",
        edits: &[Edit {
            file: "durable/src/object/broadcast.rs",
            find: "oldest.max(after.saturating_add(1))",
            replace: r#"oldest.max(after.saturating_add(u64::from(!crate::mutant("event_followed_twice"))))"#,
        }],
        seeds: 30,
        found_by: &["panic"],
        test: FEEDS,
    },
];
