"""A logger of a user, and TensorBoard's view of a sweep."""

from pytorch_lightning.loggers import Logger


class Own(Logger):
    """Records the calls of Lightning's public API; the method `refuses` raises."""

    name, version = "own", "1"
    calls: list = []  # noqa: RUF012 - of all objects: a run builds its own

    def __init__(self, refuses=""):
        self.refuses = refuses

    def _record(self, method, *values):
        if method == self.refuses:
            raise RuntimeError("the service is gone")
        self.calls.append((method, *values))

    def log_hyperparams(self, params):
        self._record("log_hyperparams", params)

    def log_metrics(self, metrics, step=None):
        self._record("log_metrics", metrics)

    def log_image(self, key, images, step=None):
        self._record("log_image", key, images[0].size)


def hparams_tab(folder):
    """What TensorBoard shows of a folder: the hyper-parameters that differ, and a dictionary per run."""
    from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
    from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
    from tensorboard.context import RequestContext
    from tensorboard.plugins.base_plugin import TBContext
    from tensorboard.plugins.hparams import api_pb2
    from tensorboard.plugins.hparams.backend_context import Context
    from tensorboard.plugins.hparams.get_experiment import Handler
    from tensorboard.plugins.hparams.list_session_groups import Handler as Groups

    events = EventMultiplexer().AddRunsFromDirectory(str(folder)).Reload()
    context = Context(TBContext(logdir=str(folder), data_provider=MultiplexerDataProvider(events, str(folder))))
    found = Handler(RequestContext(), context, "", api_pb2.GetExperimentRequest(include_metrics=True)).run()
    columns = [api_pb2.ColParams(hparam=each.name, include_in_result=True) for each in found.hparam_infos]
    columns += [api_pb2.ColParams(metric=each.name, include_in_result=True) for each in found.metric_infos]
    request = api_pb2.ListSessionGroupsRequest(
        start_index=0,
        slice_size=100,
        include_metrics=True,
        col_params=columns,
        allowed_statuses=[api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_RUNNING],
    )
    rows = []
    for group in Groups(RequestContext(), context, "", request).run().session_groups:
        metrics = {each.name.tag: each.value for each in group.metric_values}
        rows.append({name: getattr(v, v.WhichOneof("kind")) for name, v in group.hparams.items()} | metrics)
    return [each.name for each in found.hparam_infos if each.differs], rows
