from __future__ import annotations

from idiolect.models.packing import Layout, TokenTrie, common_prefix


def test_trie_shares_prefixes_and_keeps_parents_first() -> None:
    trie = TokenTrie()
    first = trie.insert([5, 6, 7])
    second = trie.insert([5, 6, 8])
    assert first[:2] == second[:2]
    assert len(trie) == 4
    assert trie.depths == [0, 1, 2, 2]
    assert all(parent < node for node, parent in enumerate(trie.parents))


def test_trie_tells_equal_tokens_in_other_contexts_apart() -> None:
    trie = TokenTrie()
    assert trie.insert([1, 2])[1] != trie.insert([3, 2])[1]


def test_layout_shows_each_node_its_ancestors_and_itself() -> None:
    trie = TokenTrie()
    trie.insert([5, 6, 7])
    trie.insert([5, 6, 8])
    trie.insert([9])
    layout = Layout(trie, context=(0, 1), fresh=(2, 3, 4))
    assert layout.tokens == [7, 8, 9]
    assert layout.positions == [2, 2, 0]
    assert layout.visible().astype(int).tolist() == [[1, 1, 1, 0, 0], [1, 1, 0, 1, 0], [0, 0, 0, 0, 1]]


def test_tokens_of_other_edits_are_other_nodes_with_the_same_ids() -> None:
    trie = TokenTrie()
    trie.insert([5, 6])
    trie.insert([(5, "a"), (6, "a")])
    trie.insert([5, (6, "a")])
    assert len(trie) == 5
    layout = Layout(trie, context=(0,), fresh=(1, 2, 3, 4))
    assert layout.tokens == [6, 5, 6, 6]
    assert layout.marks == [None, "a", "a", "a"]
    assert layout.visible().astype(int).tolist() == [[1, 1, 0, 0, 0], [0, 0, 1, 0, 0], [0, 0, 1, 1, 0], [1, 0, 0, 0, 1]]


def test_common_prefix_counts_leading_equal_tokens() -> None:
    assert common_prefix([1, 2, 3], [1, 2, 4]) == 2
    assert common_prefix([1], [1, 2]) == 1
    assert common_prefix([], [1]) == 0
