//! Sends that take effect twice, never, too early or in another order.

use crate::{Edit, LEAVING, Mutant, RECALLING, SENDS};

pub const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "send_receipt_not_stored",
        bug: "that a send was received is not stored with its effect",
        edits: &[Edit {
            file: "durable/src/storage/writer/later.rs",
            find: "            if let Some(id) = write.received {",
            replace: r#"            if let Some(id) = write.received
                && !crate::mutant("send_receipt_not_stored")
            {"#,
        }],
        seeds: 300,
        found_by: &["P7"],
        test: SENDS,
    },
    Mutant {
        name: "send_arrives_without_its_metadata",
        bug: "a send that is run again after a failure has lost what travels with it",
        edits: &[Edit {
            file: "durable/src/object/receive.rs",
            find: "        Some(&self.call.metadata)",
            replace: r#"        static NOTHING: Metadata = Metadata::new();
        let is_lost = self.retries > 0 && crate::mutant("send_arrives_without_its_metadata");
        Some(if is_lost { &NOTHING } else { &self.call.metadata })"#,
        }],
        seeds: 60,
        found_by: &["panic"],
        test: SENDS,
    },
    Mutant {
        name: "letter_without_its_metadata",
        bug: "a send that becomes a dead letter loses what travels with it",
        edits: &[Edit {
            file: "durable/src/object/receive.rs",
            find: "                let carried = Carried::new(&metadata);",
            replace: r#"                let is_lost = crate::mutant("letter_without_its_metadata");
                let carried = Carried::new(&if is_lost { Metadata::new() } else { metadata });"#,
        }],
        seeds: 60,
        found_by: &["panic"],
        test: SENDS,
    },
    Mutant {
        name: "retried_letter_is_nobodys",
        bug: "a dead letter of a send that is retried carries nothing, and no interceptor is asked",
        edits: &[Edit {
            file: "durable/src/object/recur.rs",
            find: "        self.sent.as_ref()\n",
            replace: r#"        self.sent.as_ref().filter(|_| !crate::mutant("retried_letter_is_nobodys"))
"#,
        }],
        seeds: 60,
        found_by: &["panic"],
        test: SENDS,
    },
    Mutant {
        name: "letter_of_a_letter_without_its_metadata",
        bug: "a dead letter that is retried and dies again loses what travels with it",
        edits: &[Edit {
            file: "durable/src/object/recur.rs",
            find: "                let sent = sent.as_ref().map(Carried::new);",
            replace: r#"                let is_lost = crate::mutant("letter_of_a_letter_without_its_metadata");
                let sent = sent.as_ref().map(Carried::new).filter(|_| !is_lost);"#,
        }],
        seeds: 60,
        found_by: &["panic"],
        test: SENDS,
    },
    Mutant {
        name: "refused_send_runs",
        bug: "a send runs that an interceptor has refused",
        edits: &[Edit {
            file: "durable/src/object/recur.rs",
            find: "                    Err(error) => {\n                        fail(",
            replace: r#"                    Err(_) if crate::mutant("refused_send_runs") => metadata,
                    Err(error) => {
                        fail("#,
        }],
        seeds: 60,
        found_by: &["panic"],
        test: SENDS,
    },
    Mutant {
        name: "refused_call_runs",
        bug: "a call runs that an interceptor has refused",
        edits: &[Edit {
            file: "durable/src/object/intercepted.rs",
            find: "        Err(error) => {\n            let (object, call) = (slot.id_ref(), running.number());",
            replace: r#"        Err(_) if crate::mutant("refused_call_runs") => Some(running),
        Err(error) => {
            let (object, call) = (slot.id_ref(), running.number());"#,
        }],
        seeds: 60,
        found_by: &["panic"],
        test: SENDS,
    },
    Mutant {
        name: "send_leaves_before_its_effect",
        bug: "a send is over when it is delivered, and not when its effect is durable",
        edits: &[Edit {
            file: "durable/src/alarm/sends.rs",
            find: "        let delivery = Delivery { id, retries: stored.retries, due, call, train };",
            replace: r#"        if crate::mutant("send_leaves_before_its_effect") {
            way.from.tend_send(SendChore::Over(id), Box::new(|_| ()));
        }
        let delivery = Delivery { id, retries: stored.retries, due, call, train };"#,
        }],
        seeds: 100,
        found_by: &["P7"],
        test: SENDS,
    },
    Mutant {
        name: "send_of_failed_turn",
        bug: "the sends of a turn that refused leave",
        edits: &[Edit {
            file: "durable/src/object/write.rs",
            find: "    let comparison = match &encoded {",
            replace: r#"    if crate::mutant("send_of_failed_turn")
        && ended == Ended::Rejected
        && let Some(beside) = beside.as_ref().filter(|beside| !beside.sends.made.is_empty())
    {
        let sends = beside.sends.clone();
        live.submit(slot, Changes { sends, ..Changes::default() }, crate::object::activation::HOOK);
    }
    let comparison = match &encoded {"#,
        }],
        seeds: 100,
        found_by: &["panic"],
        test: SENDS,
    },
    Mutant {
        name: "send_overtakes",
        bug: "a send does not wait for those before it",
        edits: &[Edit {
            file: "durable/src/kernel/outbox.rs",
            find: "        None if is_behind => None,",
            replace: r#"        None if is_behind && !crate::mutant("send_overtakes") => None,"#,
        }],
        seeds: 100,
        found_by: &["P7"],
        test: SENDS,
    },
    Mutant {
        name: "send_next_not_let_go",
        bug: "when a send is over the next one of its pair goes on waiting",
        edits: &[Edit {
            file: "durable/src/storage/rows/outbox.rs",
            find: "first.filter(|_| !may_be_delivered)",
            replace: r#"first.filter(|_| !may_be_delivered && !crate::mutant("send_next_not_let_go"))"#,
        }],
        seeds: 100,
        found_by: &["P7"],
        test: SENDS,
    },
    Mutant {
        name: "send_taken_back_and_delivered",
        bug: "a send that somebody takes back is delivered meanwhile",
        edits: &[Edit {
            file: "durable/src/alarm/sends.rs",
            find: "        let is_free = !under.delivered.contains(&id) && under.taken_back.insert(id);",
            replace: r#"        let is_blind = crate::mutant("send_taken_back_and_delivered");
        let is_free = is_blind || !under.delivered.contains(&id) && under.taken_back.insert(id);"#,
        }],
        seeds: 1_000,
        found_by: &["P7"],
        test: SENDS,
    },
    Mutant {
        name: "send_taken_back_after_its_effect",
        bug: "a send whose effect a crash has kept from ending its row is taken back",
        edits: &[Edit {
            file: "durable/src/alarm/sends.rs",
            find: "            if target.has_received(id)? {",
            replace: r#"            if !crate::mutant("send_taken_back_after_its_effect") && target.has_received(id)? {"#,
        }],
        seeds: 1_000,
        found_by: &["P7"],
        test: RECALLING,
    },
    Mutant {
        name: "send_undone_leaves",
        bug: "a send of a savepoint that was undone leaves",
        edits: &[Edit {
            file: "durable/src/object/send.rs",
            find: "        dealt.made.truncate(made);",
            replace: r#"        if !crate::mutant("send_undone_leaves") {
            dealt.made.truncate(made);
        }"#,
        }],
        seeds: 100,
        found_by: &["panic"],
        test: SENDS,
    },
    Mutant {
        name: "send_train_goes_on",
        bug: "those behind a send that has failed are run all the same",
        edits: &[Edit {
            file: "durable/src/kernel/outbox.rs",
            find: "        is_first || kept_by == Some(epoch)",
            replace: r#"        is_first || kept_by == Some(epoch) || crate::mutant("send_train_goes_on")"#,
        }],
        seeds: 100,
        found_by: &["P7"],
        test: SENDS,
    },
    Mutant {
        name: "send_train_changes",
        bug: "those behind a send run in another activation, although its commit may fail",
        edits: &[Edit {
            file: "durable/src/kernel/outbox.rs",
            find: "        let kept_by = self.kept_by.take();",
            replace: r#"        let kept_by = self.kept_by.take();
        let kept_by = kept_by.map(|kept_by| {
            if crate::mutant("send_train_changes") { epoch } else { kept_by }
        });"#,
        }],
        seeds: 2_000,
        found_by: &["P7"],
        test: SENDS,
    },
    Mutant {
        name: "send_outlives_its_source",
        bug: "what an object has sent stays in the outbox when it is erased",
        edits: &[Edit {
            file: "durable/src/storage/rows/mod.rs",
            find: "    gone.sends += outbox::erase(connection, object_no, &mut gone.told)?;",
            replace: r#"    if !crate::mutant("send_outlives_its_source") {
        gone.sends += outbox::erase(connection, object_no, &mut gone.told)?;
    }"#,
        }],
        seeds: 100,
        found_by: &["P7", "panic"],
        test: LEAVING,
    },
    Mutant {
        name: "send_of_the_same_batch_stays",
        bug: "what was sent before an erasure of the same batch is stored after it",
        edits: &[Edit {
            file: "durable/src/storage/writer/later.rs",
            find: "            let is_gone = run.erases() && *commit_no != run.last.commit_no;",
            replace: r#"            let is_gone = run.erases()
                && *commit_no != run.last.commit_no
                && !crate::mutant("send_of_the_same_batch_stays");"#,
        }],
        seeds: 1_000,
        found_by: &["P7", "panic"],
        test: LEAVING,
    },
    Mutant {
        name: "send_of_the_erasing_turn_is_lost",
        bug: "what the turn has sent that erases its object goes with the object",
        edits: &[Edit {
            file: "durable/src/storage/writer/later.rs",
            find: "            let made = if is_gone { &[][..] } else { &write.made[..] };",
            replace: r#"            let is_gone =
                is_gone || run.erases() && crate::mutant("send_of_the_erasing_turn_is_lost");
            let made = if is_gone { &[][..] } else { &write.made[..] };"#,
        }],
        seeds: 100,
        found_by: &["P7", "hangs"],
        test: LEAVING,
    },
];
