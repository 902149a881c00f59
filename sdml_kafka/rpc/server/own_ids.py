"""The ids of requests as a program's own function finds them (`correlation_from_record`)."""

from logging import WARNING

from attrs import define

from sdml_kafka.log_fields import record_fields
from sdml_kafka.rate_limited_log import RateLimitedLog
from sdml_kafka.rpc.dialects.messages import CorrelationFromRecord, Request, id_of
from sdml_kafka.transport.interfaces.records import Record


@define(eq=False)
class OwnIds:
    """The program's own way to a request's id, which replies echo in the header `id_name`."""

    extract: CorrelationFromRecord
    id_name: str
    log: RateLimitedLog

    def put_into(self, request: Request, record: Record) -> Request:
        """Return the request with the id that the program finds, or without any."""
        try:
            if (id_ := id_of(self.extract(record))) is not None:
                return request._replace(id=id_, id_name=self.id_name)
        except Exception as error:  # a stranger wrote the record
            text, extra = "correlation_from_record raised", record_fields(record, error=error)
            self.log.log(WARNING, "correlation_from_record", text, error=error, extra=extra)
        return request._replace(id=None, id_name=None)
