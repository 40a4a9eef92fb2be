%% The same trees under OTP's supervisor. Prints one time in nanoseconds per line.
-module(supervise).
-behaviour(supervisor).
-export([main/1, init/1, begin_child/2, run/2]).

main([Case, Count]) ->
    logger:set_primary_config(level, none),
    Times = measure(Case, list_to_integer(Count)),
    [io:format("~b~n", [Time]) || Time <- Times],
    halt(0).

measure("latencies", Crashes) ->
    Top = open(one_for_one, 1, {asked, self()}),
    receive {runs, First} -> ok end,
    Times = crash_often(First, Crashes),
    close(Top),
    Times;
measure("restarts", Crashes) ->
    Runs = counters:new(1, []),
    Top = open(one_for_one, 1, {often, self(), Runs, Crashes + 1}),
    receive {first, Began} -> ok end,
    receive {last, Ended} -> ok end,
    close(Top),
    [Ended - Began];
measure("one_for_all", Children) ->
    Top = open(one_for_all, Children, {asked, self()}),
    [First | _] = [receive {runs, Child} -> Child end || _ <- lists:seq(1, Children)],
    Asked = now_ns(),
    First ! crash,
    [receive {runs, _} -> ok end || _ <- lists:seq(1, Children)],
    Took = now_ns() - Asked,
    close(Top),
    [Took];
measure("start", Children) ->
    Asked = now_ns(),
    Top = open(one_for_one, Children, {asked, self()}),
    [receive {runs, _} -> ok end || _ <- lists:seq(1, Children)],
    Took = now_ns() - Asked,
    close(Top),
    [Took].

crash_often(_, 0) -> [];
crash_often(Child, Crashes) ->
    timer:sleep(1),
    Asked = now_ns(),
    Child ! crash,
    receive {runs, Next} -> [now_ns() - Asked | crash_often(Next, Crashes - 1)] end.

open(Strategy, Children, What) ->
    process_flag(trap_exit, true),
    {ok, Top} = supervisor:start_link(?MODULE, {Strategy, Children, What}),
    Top.

close(Top) ->
    exit(Top, kill),
    receive {'EXIT', Top, _} -> ok end.

init({Strategy, Children, What}) ->
    Flags = #{strategy => Strategy, intensity => 1000000000, period => 1},
    {ok, {Flags, [child(At, What) || At <- lists:seq(1, Children)]}}.

child(At, What) ->
    #{id => At, start => {?MODULE, begin_child, [At, What]}, shutdown => brutal_kill}.

begin_child(At, What) ->
    {ok, spawn_link(?MODULE, run, [At, What])}.

run(_, {asked, Who}) ->
    Who ! {runs, self()},
    receive crash -> exit(boom) end;
run(_, {often, Who, Runs, Last}) ->
    counters:add(Runs, 1, 1),
    case counters:get(Runs, 1) of
        1 -> Who ! {first, now_ns()}, exit(boom);
        Last -> Who ! {last, now_ns()}, receive crash -> ok end;
        _ -> exit(boom)
    end.

now_ns() -> erlang:monotonic_time(nanosecond).
