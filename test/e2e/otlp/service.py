"""A service of yours: it calls MUXI within a trace of its own, and sends its spans and its log to MUXI."""

import logging
import os
import sys

import requests
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.requests import RequestsInstrumentor
from opentelemetry.sdk._logs import LoggerProvider, LoggingHandler
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

# Where to, with which key and under what name: OTEL_EXPORTER_OTLP_ENDPOINT, OTEL_EXPORTER_OTLP_HEADERS, OTEL_SERVICE_NAME.
spans = TracerProvider()
spans.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
trace.set_tracer_provider(spans)
logs = LoggerProvider()
logs.add_log_record_processor(BatchLogRecordProcessor(OTLPLogExporter()))
log = logging.getLogger("shop")
log.addHandler(LoggingHandler(logger_provider=logs))
log.setLevel(logging.INFO)
# Sends `traceparent` with every request.
RequestsInstrumentor().instrument()

with trace.get_tracer("shop").start_as_current_span("checkout", attributes={"muxi.operation": "checkout", "user.id": "u42"}) as span:
    log.info("asking MUXI for its agents")
    answer = requests.get(f"{os.environ['MUXI_URL']}/api/v1/agents", headers={"Authorization": f"Bearer {os.environ['MUXI_KEY']}"}, timeout=10)
    log.warning("it has %d", len(answer.json()["agents"]), extra={"status": answer.status_code})
    print(format(span.get_span_context().trace_id, "032x"))

spans.shutdown()
logs.shutdown()
sys.exit(0 if answer.ok else 1)
