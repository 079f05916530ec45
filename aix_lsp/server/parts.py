"""The slow imports, made once in a thread, so that `initialize` is answered before them."""

from __future__ import annotations


class Parts:
    """What a session is put together from."""

    def __init__(self) -> None:
        from aix_lsp.completion.acceptance import AcceptanceLog
        from aix_lsp.completion.context import WorkspaceContext
        from aix_lsp.completion.index_cache import cache_folder
        from aix_lsp.completion.service import CompletionService
        from aix_lsp.completion.statistics import Statistics
        from aix_lsp.completion.statistics_file import statistics_file
        from aix_lsp.completion.trace import TraceLog
        from aix_lsp.configuration import Configuration
        from aix_lsp.engine.select import is_remote
        from aix_lsp.workspace.watcher import WorkspaceWatcher

        self.AcceptanceLog = AcceptanceLog
        self.Statistics = Statistics
        self.statistics_file = statistics_file
        self.WorkspaceContext = WorkspaceContext
        self.cache_folder = cache_folder
        self.CompletionService = CompletionService
        self.TraceLog = TraceLog
        self.Configuration = Configuration
        self.is_remote = is_remote
        self.WorkspaceWatcher = WorkspaceWatcher
