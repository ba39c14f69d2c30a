package wireformat

import (
	"math"
	"slices"
	"strings"
)

// Fields of "store report", by position in reportFields.
const (
	reportCertname = iota
	reportPuppetVersion
	reportConfigurationVersion
	reportEnvironment
	reportFormat
	reportStartTime
	reportEndTime
	reportProducerTimestamp
	reportTransactionUUID
	reportStatus
	reportNoop
	reportMetrics
	reportLogs
	reportResources
	reportCatalogUUID
	reportCachedCatalogStatus
	reportCodeID
	reportProducer
	reportNoopPending
	reportCorrectiveChange
	reportJobID
	reportType
	reportResourceEvents // versions 3 to 5
)

func reportFields() []string {
	return []string{"certname", "puppet_version", "configuration_version", "environment", "report_format",
		"start_time", "end_time", "producer_timestamp", "transaction_uuid", "status", "noop", "metrics", "logs",
		"resources", "catalog_uuid", "cached_catalog_status", "code_id", "producer", "noop_pending",
		"corrective_change", "job_id", "type", "resource_events"}
}

// report reads "store report" 3 to 8. Spec §3.3.
func (d *decoder) report() *Report {
	const fromStart = 1<<reportCertname | 1<<reportPuppetVersion | 1<<reportConfigurationVersion | 1<<reportEnvironment |
		1<<reportFormat | 1<<reportStartTime | 1<<reportEndTime | 1<<reportTransactionUUID
	rr := newReportReader(d)
	names := reportFields()
	shape := fields{names: names, required: fromStart, read: rr.field}
	if d.version >= 4 {
		shape.required |= 1 << reportStatus
	}
	if d.version >= 5 {
		shape.required |= 1<<reportProducerTimestamp | 1<<reportNoop | 1<<reportMetrics | 1<<reportLogs
	}
	if d.version >= 6 {
		shape.names = names[:reportResourceEvents]
	}
	if d.version >= 7 {
		shape.required |= 1<<reportCatalogUUID | 1<<reportCachedCatalogStatus | 1<<reportCodeID
	}
	if d.version >= 8 {
		shape.required |= 1<<reportProducer | 1<<reportNoopPending | 1<<reportCorrectiveChange | 1<<reportResources
	}
	if d.version <= 4 {
		shape.alias = func(key []byte) []byte { return []byte(strings.ReplaceAll(string(key), "-", "_")) }
	}
	if !d.record(&shape) {
		return rr.Report
	}
	rr.upgrade()
	rr.Events = uniqueEvents(rr.Events)
	rr.Hash = reportHash(rr.Report, rr.transaction)
	return rr.Report
}

// reportReader fills a report.
type reportReader struct {
	*decoder
	*Report
	sawCatalogUUID bool
	transaction    *string // transaction_uuid as it was spelled
	old            []oldEvent

	// what is being read
	common    Event
	skipped   bool
	own       []Event
	current   Event
	tags      func(int)
	ownEvents func(int)
	shapes    struct{ metric, log, resource, event fields }
}

func newReportReader(d *decoder) *reportReader {
	r := &reportReader{decoder: d, Report: &Report{Type: "agent"}}
	r.shapes.metric, r.shapes.log = r.metricShape(), r.logShape()
	r.shapes.resource, r.shapes.event = r.resourceShape(), r.eventShape()
	r.tags = func(int) { r.skipText() }
	r.ownEvents = func(int) { r.event() }
	return r
}

func (r *reportReader) field(field int) {
	switch field {
	case reportCertname:
		r.Certname = r.text()
	case reportPuppetVersion:
		r.PuppetVersion = r.text()
	case reportConfigurationVersion:
		r.ConfigurationVersion = r.text()
	case reportEnvironment:
		r.Environment = r.text()
	case reportFormat:
		r.ReportFormat = r.integer(math.MinInt16, math.MaxInt16)
	case reportStartTime:
		r.StartTime = r.strictTime()
	case reportEndTime:
		r.EndTime = r.strictTime()
	case reportProducerTimestamp:
		r.ProducerTimestamp = r.strictTime()
	case reportMetrics:
		r.Metrics = r.checked(r.metric)
	case reportLogs:
		r.Logs = r.checked(r.log)
	case reportResources:
		r.Resources, r.Events = nil, nil
		r.Resources = r.checked(r.resource)
	case reportResourceEvents:
		r.old = nil
		r.list(func(int) { r.oldEvent() })
	default:
		r.optionalField(field)
	}
}

func (r *reportReader) optionalField(field int) {
	switch field {
	case reportTransactionUUID:
		if r.TransactionUUID = r.optionalUUID(); r.TransactionUUID != nil {
			spelling := r.spelling
			r.transaction = &spelling
		}
	case reportCatalogUUID:
		r.CatalogUUID, r.sawCatalogUUID = r.optionalUUID(), true
	case reportStatus:
		r.Status = r.optionalText()
	case reportNoop:
		r.Noop = r.optionalBoolean()
	case reportCachedCatalogStatus:
		r.CachedCatalogStatus = r.optionalText()
	case reportCodeID:
		r.CodeID = r.optionalText()
	case reportProducer:
		r.Producer = r.optionalText()
	case reportNoopPending:
		r.NoopPending = r.optionalBoolean()
	case reportCorrectiveChange:
		r.CorrectiveChange = r.optionalBoolean()
	case reportJobID:
		r.JobID = r.optionalText()
	case reportType:
		r.Type = r.text()
		if r.Type != "agent" && r.Type != "plan" {
			r.problem(`must be "agent" or "plan", not %q`, r.Type)
		}
	}
}

// upgrade takes the report through each version after its own. Unlike in
// facts and catalogs, top-level fields that were sent early are kept.
func (r *reportReader) upgrade() {
	if r.version <= 3 { // 3 → 4: status
		r.Status = nil
	}
	if r.version <= 4 { // 4 → 5: metrics, logs, noop, time of production
		r.Metrics, r.Logs, r.Noop = nil, nil, nil
		r.ProducerTimestamp = r.received
	}
	if r.version <= 5 { // 5 → 6: events grouped by their resource
		r.group()
	}
	if r.version <= 6 && !r.sawCatalogUUID { // 6 → 7: catalog_uuid
		r.CatalogUUID = r.TransactionUUID
	}
	if (r.version == 6 || r.version == 7) && r.problems == nil { // 7 → 8: corrective changes; see event
		var err error
		if r.Resources, err = upgradeResources(r.Resources); err != nil {
			r.problem("%v", err)
		}
	}
}

// checked reads a list twice over: element validates each element, and the
// whole is kept in canonical form. null stays nil.
func (r *reportReader) checked(element func()) JSON {
	start := r.i
	if !r.list(func(int) { element() }) {
		return nil
	}
	end, depth := r.i, r.depth
	r.i = start
	v := r.value()
	r.i, r.depth = end, depth
	return v
}

func (r *reportReader) metric() { r.record(&r.shapes.metric) }

func (r *reportReader) metricShape() fields {
	return fields{
		names:    []string{"category", "name", "value"},
		required: 1 | 2 | 4,
		read: func(field int) {
			if field < 2 {
				r.skipText()
				return
			}
			if c := r.next(); c != '-' && !digit(c) {
				r.wrongType("a number")
				return
			}
			r.number()
		},
	}
}

// skipText reads a string that only has to be one.
func (r *reportReader) skipText() {
	if r.next() != '"' {
		r.wrongType("a string")
		return
	}
	r.str()
}

func (r *reportReader) log() { r.record(&r.shapes.log) }

func (r *reportReader) logShape() fields {
	return fields{
		names:    []string{"file", "line", "level", "message", "source", "tags", "time"},
		required: 1<<7 - 1,
		read: func(field int) {
			switch field {
			case 0:
				if !r.null() {
					r.skipText()
				}
			case 1:
				if !r.null() {
					r.integer(math.MinInt64, math.MaxInt64)
				}
			case 2, 3, 4:
				r.skipText()
			case 5:
				r.list(r.tags)
			case 6:
				r.strictTime()
			}
		},
	}
}

// resource reads one resource of versions 6 to 8 and derives its events.
func (r *reportReader) resource() {
	r.common, r.skipped, r.own = Event{}, false, r.own[:0]
	if r.record(&r.shapes.resource) {
		r.add(r.common, r.skipped, r.own)
	}
}

func (r *reportReader) resourceShape() fields {
	const skipped, timestamp, kind, title, file, line, path, corrective, events = 0, 1, 2, 3, 4, 5, 6, 7, 8
	required := uint64(1<<skipped | 1<<timestamp | 1<<kind | 1<<title | 1<<file | 1<<line | 1<<path)
	if r.version >= 8 {
		required |= 1<<corrective | 1<<events
	}
	return fields{
		names: []string{"skipped", "timestamp", "resource_type", "resource_title", "file", "line",
			"containment_path", "corrective_change", "events"},
		required: required,
		read: func(field int) {
			switch field {
			case skipped:
				r.skipped = r.boolean()
			case timestamp:
				r.common.Timestamp = r.strictTime()
			case kind:
				r.common.ResourceType = r.shared()
			case title:
				r.common.ResourceTitle = r.text()
			case file:
				r.common.File = r.optionalText()
			case line:
				r.common.Line = r.optionalLine()
			case path:
				r.common.ContainmentPath = r.containmentPath()
			case corrective:
				if !r.null() {
					r.boolean()
				}
			case events:
				r.own = r.own[:0]
				r.list(r.ownEvents)
			}
		},
	}
}

// add appends the rows that a resource gives rise to. Spec §6.6.
func (r *reportReader) add(common Event, skipped bool, own []Event) {
	common.ContainingClass = containingClass(common.ContainmentPath)
	if skipped {
		no := false
		common.Status, common.CorrectiveChange = "skipped", &no
		r.Events = append(r.Events, common)
		return
	}
	for _, e := range own {
		e.ResourceType, e.ResourceTitle = common.ResourceType, common.ResourceTitle
		e.File, e.Line = common.File, common.Line
		e.ContainmentPath, e.ContainingClass = common.ContainmentPath, common.ContainingClass
		r.Events = append(r.Events, e)
	}
}

// containmentPath is nil for null only.
func (d *decoder) containmentPath() []string {
	path := d.texts(nil)
	if path == nil {
		return nil
	}
	return d.strings(path)
}

// containingClass is the innermost element of the path that names a class.
func containingClass(path []string) *string {
	for _, element := range slices.Backward(path) {
		if element != "" && !strings.Contains(element, "[") {
			return &element
		}
	}
	return nil
}

// event reads one event of a resource.
func (r *reportReader) event() {
	r.current = Event{}
	r.record(&r.shapes.event)
	r.own = append(r.own, r.current)
}

func (r *reportReader) eventShape() fields {
	const status, timestamp, property, message, newValue, oldValue, corrective, name = 0, 1, 2, 3, 4, 5, 6, 7
	required := uint64(1<<status | 1<<timestamp | 1<<property | 1<<message | 1<<newValue | 1<<oldValue)
	if r.version >= 8 {
		required |= 1 << corrective
	}
	return fields{
		names:    []string{"status", "timestamp", "property", "message", "new_value", "old_value", "corrective_change", "name"},
		required: required,
		read: func(field int) {
			e := &r.current
			switch field {
			case status:
				e.Status = r.shared()
			case timestamp:
				e.Timestamp = r.strictTime()
			case property:
				e.Property = r.optionalText()
			case message:
				e.Message = r.optionalText()
			case newValue:
				e.NewValue = r.value()
			case oldValue:
				e.OldValue = r.value()
			case corrective:
				e.CorrectiveChange = r.optionalBoolean()
				if r.version < 8 { // overwritten by the upgrade from 7 to 8
					e.CorrectiveChange = nil
				}
			case name:
				e.Name = r.optionalText()
			}
		},
	}
}
