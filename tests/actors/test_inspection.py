from actors import ActorInfo, State, render, walk

TREE = ActorInfo(
    "service",
    State.RUNNING,
    children=(
        ActorInfo("store", State.RUNNING, mailbox_depth=1, mailbox_capacity=256, handled=12),
        ActorInfo(
            "feed",
            State.RUNNING,
            restarts=1,
            children=(
                ActorInfo("stream", State.PAUSING, restarts=2, last_error="OSError: reset"),
                ActorInfo("audit", State.STOPPED),
            ),
        ),
        ActorInfo("web", State.STARTING),
    ),
)


def test_walk_visits_parents_first_and_yields_paths() -> None:
    assert ["/".join(path) for path, _ in walk(TREE)] == [
        "service",
        "service/store",
        "service/feed",
        "service/feed/stream",
        "service/feed/audit",
        "service/web",
    ]
    assert all(path[-1] == info.name for path, info in walk(TREE))


def test_render_draws_the_tree() -> None:
    assert render(TREE).splitlines() == [
        "service  running",
        "├── store  running  mailbox 1/256  12 handled",
        "├── feed  running  1 restart",
        "│   ├── stream  pausing  2 restarts  last: OSError: reset",
        "│   └── audit  stopped",
        "└── web  starting",
    ]
