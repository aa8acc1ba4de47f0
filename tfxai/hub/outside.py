"""What a saved graph does beside computing: a SavedModel is a program, and may read and write files or call Python."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tensorflow.core.framework.graph_pb2 import GraphDef
from tensorflow.core.framework.node_def_pb2 import NodeDef
from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

from tfxai.graphs import op_name
from tfxai.hub.messages import some_of
from tfxai.support import warn

_READS, _WRITES, _PYTHON, _NETWORK = "reads files", "writes files", "calls Python", "opens a connection"
_TABLES = (
    "InitializeTableFromTextFile",
    "InitializeTableFromTextFileV2",
)  # of a vocabulary, mostly the module's own
_SAVING = ("MergeV2Checkpoints", "Restore", "RestoreSlice", "RestoreV2", "Save", "SaveSlices", "SaveV2")
OUTSIDE: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("CSVDataset", "CSVDatasetV2", "FixedLengthRecordDataset", "FixedLengthRecordDatasetV2"),
            *("FixedLengthRecordReader", "FixedLengthRecordReaderV2", "GenerateVocabRemapping", "ImmutableConst"),
            *("LMDBDataset", "LMDBReader", "LoadAndRemapMatrix", "LoadDataset", "MatchingFiles", "ReadFile"),
            *("MatchingFilesDataset", "RecordInput", "Restore", "RestoreSlice", "RestoreV2", "SqlDataset"),
            *("TFRecordDataset", "TFRecordDatasetV2", "TFRecordReader", "TFRecordReaderV2", "TextLineDataset"),
            *("TextLineReader", "TextLineReaderV2", "WholeFileReader", "WholeFileReaderV2", *_TABLES),
        ),
        _READS,
    ),
    **dict.fromkeys(
        (
            *("CacheDataset", "CacheDatasetV2", "CreateSummaryDbWriter", "CreateSummaryFileWriter"),
            *("DebugIdentity", "DebugIdentityV2", "DebugIdentityV3", "DistributedSave", "MergeV2Checkpoints"),
            *("Save", "SaveDataset", "SaveDatasetV2", "SaveSlices", "SaveV2", "SnapshotDataset"),
            *("SnapshotDatasetV2", "WriteFile"),
        ),
        _WRITES,
    ),
    **dict.fromkeys(("EagerPyFunc", "PyFunc", "PyFuncStateless"), _PYTHON),
    **dict.fromkeys(("DataServiceDataset", "DataServiceDatasetV2", "DataServiceDatasetV3", "DataServiceDatasetV4"), _NETWORK),
}  # fmt: skip
"""Type of an operation -> what it does outside of the graph. Operations of other libraries do not load without them."""


def check_trust(path: Path, outside: Sequence[str], trusted: bool | None) -> None:
    """Raises ValueError if a file reaches outside and is not trusted; warns if nobody said. Before anything of it runs."""
    if not outside or trusted:
        return
    what = (
        f"{path} is a program that does more than compute, when it is loaded or called: {some_of(outside)}."
    )
    if trusted is None:
        warn(f"{what} If you trust its author, say trusted=True; trusted=False refuses such files.")
        return
    raise ValueError(f"{what} It was not loaded. If you trust its author, say trusted=True.")


def outside_of(meta: MetaGraphDef) -> list[str]:
    """Operations of a SavedModel's variant that reach outside, as `ReadFile in serving_fn (reads files)`.

    Those by which it keeps its own variables, and vocabularies among its own files, do not count.
    """
    assets = {op_name(asset.tensor_info.name) for asset in meta.asset_file_def}
    saver = meta.saver_def
    own = [
        op_name(name) for name in (saver.save_tensor_name, saver.restore_op_name, saver.filename_tensor_name)
    ]
    return _listed(meta.graph_def, assets, _behind(meta.graph_def, own))


def outside_of_graph(graph: GraphDef) -> list[str]:
    """The same of a frozen graph."""
    return _listed(graph, set(), set())


def _listed(graph: GraphDef, assets: set[str], saving: set[str]) -> list[str]:
    places: list[tuple[str, Iterable[NodeDef]]] = [("", graph.node)]
    places += [(function.signature.name, function.node_def) for function in graph.library.function]
    found: dict[str, None] = {}
    for place, nodes in places:
        named = {node.name: node for node in nodes}
        for node in named.values():
            if _is_outside(node, named, assets, saving, place):
                found[f"{node.op}{f' in {place}' if place else ''} ({OUTSIDE.get(node.op, _WRITES)})"] = None
    return [*found]


def _is_outside(
    node: NodeDef, named: Mapping[str, NodeDef], assets: set[str], saving: set[str], place: str
) -> bool:
    if node.op == "PrintV2":
        return node.attr["output_stream"].s.startswith(b"file://")
    if node.op in _SAVING and (place or node.name) in saving:
        return False
    file = named.get(op_name(node.input[1])) if len(node.input) > 1 else None
    # A name that is written into the graph; that of an asset comes from outside of it.
    written = file if file is not None and file.op == "Const" else None
    if node.op in _TABLES:
        return written is not None and written.name not in assets
    if node.op in ("CacheDataset", "CacheDatasetV2"):  # in memory, where the name is empty
        return written is None or any(written.attr["value"].tensor.string_val)
    return node.op in OUTSIDE


def _behind(graph: GraphDef, names: Sequence[str]) -> set[str]:
    """Names of the operations from which these are computed, and of the functions that they call, however deep."""
    nodes = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    found: set[str] = set()
    waiting = [name for name in names if name in nodes]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        inner = functions[name].node_def if name in functions else [nodes[name]] if name in nodes else []
        for node in inner:
            waiting += [value.func.name for value in node.attr.values() if value.func.name in functions]
            if name in nodes:
                waiting += [op_name(before) for before in node.input if op_name(before) in nodes]
    return found
