#!/usr/bin/python3
"""clients.py URL: asks the server at URL everything that pypuppetdb and cumin can ask, of the recorded corpus.

Prints a JSON object a line: the call, how much it gave, and the SHA-1 of what it gave, so that two servers can be
compared line by line. Left out are the order of rows where none was asked for, and what differs between servers by
right: times of receipt, hashes of catalogs, corrective changes, versions. With a third argument, what the call of that
name gave is printed instead of sums."""
import datetime, hashlib, itertools, json, logging, sys, urllib.parse

import pypuppetdb
import requests
from cumin.backends.puppetdb import PuppetDBQuery
from pypuppetdb.QueryBuilder import *

MASKED = {'received', 'receive_time', 'report_receive_time', 'facts_timestamp', 'catalog_timestamp', 'time', 'unreported_time',
          'server_time', 'corrective_change', 'latest_report_corrective_change', 'version_of_server', 'service_version'}
ROWS = {'tags', 'data', 'resources', 'edges', 'relationships'}
# Dalang adds these to the counters of the open build.
SPLIT = {'intentional_successes', 'corrective_successes', 'intentional_noops', 'corrective_noops'}


def plain(o, seen=()):
    """What a call gave, as JSON: objects of the library become objects of their attributes."""
    if o is None or isinstance(o, (str, int, float, bool)):
        return o
    if isinstance(o, (datetime.datetime, datetime.timedelta)):
        return str(o)
    if isinstance(o, dict):
        return {str(k): plain(v, seen) for k, v in o.items()}
    if isinstance(o, pypuppetdb.BaseAPI):
        return None
    if hasattr(o, '__dict__'):
        if len(seen) > 1 or id(o) in seen:  # resources and edges refer to each other
            return str(o)
        return {type(o).__name__: {k: plain(v, seen + (id(o),)) for k, v in vars(o).items()}}
    return [plain(v, seen) for v in o]


def canonical(o, key='rows'):
    if isinstance(o, dict):
        out = {k: canonical(v, k) for k, v in o.items() if k not in MASKED and not ('successes' in o and k in SPLIT)}
        if 'edges' in o:
            out.pop('hash', None)
        if 'facts' in o or 'trusted' in o:
            out.pop('timestamp', None)
        return out
    if isinstance(o, list):
        rows = [canonical(v, None) for v in o]
        return sorted(rows, key=lambda v: json.dumps(v, sort_keys=True)) if key in ROWS or key == 'rows' else rows
    return int(o) if isinstance(o, float) and o == int(o) else o


def boolean(kind, *queries):
    o = kind()
    for q in queries:
        o.add(q)
    return o


def extract(*fields, where=None, group=()):
    o = ExtractOperator()
    for f in fields:
        o.add_field(f)
    if where is not None:
        o.add_query(where)
    for g in group:
        o.add_group_by(g)
    return o


def source(entity, query=None, order=None, limit=None, offset=None):
    o = FromOperator(entity)
    if query is not None:
        o.add_query(query)
    if order is not None:
        o.add_order_by(order)
    if limit is not None:
        o.add_limit(limit)
    if offset is not None:
        o.add_offset(offset)
    return o


def member(field, values=None, entity=None, where=None):
    o = InOperator(field)
    if values is not None:
        o.add_array(values)
        return o
    inner = SubqueryOperator(entity)
    inner.add_query(where)
    o.add_query(extract(field, where=inner))
    return o


def by(field, order='asc'):
    return json.dumps([{'field': field, 'order': order}])


EQ, RE, ANY = EqualsOperator, RegexOperator, RegexOperator('certname', '.')
LATEST = EQ('latest_report?', True)
NODES = ['web1', 'web2', 'db1', 'lb1', 'bad1', 'plain1', 'edge1', 'edge2', 'edge3', 'edge4', 'back', 'gone', 'nobody']
NODE_QUERIES = [
    None, EQ('certname', 'web1.example.com'), GreaterOperator('report_timestamp', '2026-11-10T00:00:00Z'), LessOperator('report_timestamp', '2026-11-11'),
    GreaterEqualOperator('report_timestamp', '2026-11-10T03:01:00Z'), LessEqualOperator('report_timestamp', '2026-11-10T03:01:00Z'),
    RE('certname', '^w|b'), NullOperator('report_timestamp', True), NullOperator('report_timestamp', False),
    EQ(['fact', 'kernel'], 'Linux'), RE(['fact', 'kernel'], 'L.*'), EQ(['fact', 'os.family'], 'Debian'),
    boolean(AndOperator, ANY, EQ('latest_report_status', 'changed')), boolean(OrOperator, EQ('certname', 'web1.example.com'), RE('certname', 'edge')),
    boolean(NotOperator, RE('certname', 'edge')), member('certname', ['web1.example.com', 'db1.example.com']),
    member('certname', entity='facts', where=EQ('name', 'kernel')), member('certname', entity='resources', where=EQ('type', 'Exec')),
]


def calls():
    """Pairs of a name and a function of a connection."""
    for q in NODE_QUERIES:
        yield f'nodes {q}', lambda db: db.nodes(query=q)
        yield f'nodes with status {q}', lambda db: db.nodes(query=q, with_status=True)
    yield 'nodes with status, without numbers', lambda db: db.nodes(with_status=True, with_event_numbers=False)
    for order in 'asc', 'desc':
        yield f'nodes, a page {order}', lambda db: [list(db.nodes(order_by=by('certname', order), limit=3, offset=1, include_total=True)), db.total]
    yield 'nodes by POST', lambda db: [db._query('nodes', query=str(ANY), order_by=json.loads(by('certname')), limit=2, include_total=True, request_method='POST'), db.total]
    yield 'nodes, counted', lambda db: db._query('nodes', query=extract(FunctionOperator('count')))
    yield 'nodes, grouped', lambda db: db._query('nodes', query=extract('latest_report_status', FunctionOperator('count'), group=('latest_report_status',)))
    for f in 'avg', 'sum', 'max', 'min':
        yield f'facts, {f}', lambda db: db._query('facts', query=extract(FunctionOperator(f, 'value'), where=EQ('name', 'processorcount')))
    yield 'reports, to_string', lambda db: db._query('reports', query=extract(FunctionOperator('to_string', 'producer_timestamp', 'FMDAY')))
    for entity in 'nodes', 'facts', 'resources', 'reports', 'catalogs', 'environments', 'events', 'factsets', 'fact_contents', 'edges', 'inventory':
        if entity not in ('factsets', 'inventory'):  # which its FromOperator does not know
            yield f'from {entity}', lambda db: db._query('pql', query=source(entity, RE('name' if entity == 'environments' else 'certname', '.')))
        yield f'PQL {entity}', lambda db: db._query('pql', query=f'{entity}{{}}')
    yield 'from nodes, a page', lambda db: db._query('pql', query=source('nodes', extract('certname', where=ANY), [['certname', 'desc']], 2, 1))
    yield 'an unknown field', lambda db: db._query('nodes', query='["=","foo","bar"]')
    yield from node_calls()
    for m in 'environments', 'facts', 'factsets', 'fact_contents', 'fact_paths', 'fact_names', 'resources', 'catalogs', 'events', 'reports', 'inventory':
        yield m, lambda db: getattr(db, m)()
    yield 'edges', lambda db: db._query('edges')
    for name, value in ('kernel', None), ('kernel', 'Linux'), ('is_virtual', 'true'), ('processorcount', '2'), ('nosuch', None):
        yield f'facts {name} {value}', lambda db: db.facts(name, value)
    yield 'fact contents by path', lambda db: db.fact_contents(query=RegexArrayOperator('path', ['networking', '.*', '.*']))
    for kind, title in ('file', None), ('Class', 'Main'), ('class', 'App::Base'), ('exec', 'always'), ('no::such', None):
        yield f'resources {kind} {title}', lambda db: db.resources(kind, title)
    for q in EQ(['parameter', 'ensure'], 'file'), EQ('tag', 'class'), EQ('exported', True), RE('title', '^/etc'):
        yield f'resources {q}', lambda db: db.resources(query=q)
    yield from report_calls()
    yield 'status', lambda db: db.status()
    yield 'version', lambda db: {'version_of_server': db.current_version()}
    yield 'server time', lambda db: db._query('server-time')
    for what in 'nodes', 'active-nodes', 'inactive-nodes':
        yield f'metric num-{what}', lambda db: db.metric(f'puppetlabs.puppetdb.population:name=num-{what}')
    yield 'metrics of commands', lambda db: sorted(db.metric()['puppetlabs.puppetdb.mq'])
    yield 'metrics of connections', lambda db: sorted(db.metric()['puppetlabs.puppetdb.database'])
    for m in 'mq:name=replace catalog.9.processing-time', 'mq:name=global.seen', 'storage:name=gc-time', 'database:name=PDBReadPool.pool.Usage':
        yield f'metric {m}', lambda db: sorted(db.metric(f'puppetlabs.puppetdb.{m}'))
    yield 'an unknown metric', lambda db: db.metric('puppetlabs.puppetdb.nosuch:name=x')


def node_calls():
    for n in (n + '.example.com' for n in NODES):
        yield f'node {n}', lambda db: db.node(n)
        yield f'catalog {n}', lambda db: db.catalog(n)
        yield f'resources and edges {n}', lambda db: [[sorted(map(str, c.get_resources())), sorted(map(str, c.get_edges()))] for c in db.catalogs(path=n)]
        yield f'facts of {n}', lambda db: db.node(n).facts()
        yield f'a fact of {n}', lambda db: db.node(n).fact('kernel')
        yield f'resources of {n}', lambda db: db.node(n).resources()
        yield f'files of {n}', lambda db: db.node(n).resources('file')
        yield f'a resource of {n}', lambda db: db.node(n).resource('Stage', 'main')
        yield f'reports of {n}', lambda db: [[r, canonical(plain(r.events()))] for r in db.node(n).reports()]
        yield f'factset of {n}', lambda db: db.factsets(path=n)
        yield f'facts below {n}', lambda db: db._query('nodes', path=n + '/facts')
        yield f'inventory of {n}', lambda db: db.inventory(query=EQ('certname', n))


def report_calls():
    yield 'reports, the latest', lambda db: db.reports(query=LATEST)
    yield 'reports, a page', lambda db: [list(db.reports(limit=3, offset=1, order_by=by('end_time', 'desc'), include_total=True)), db.total]
    for status in 'failed', 'changed', 'unchanged':
        yield f'reports {status}', lambda db: db.reports(query=EQ('status', status))
    yield 'events, the latest', lambda db: db.events(query=LATEST)
    for subject, q in itertools.product(('certname', 'containing_class', 'resource'), (ANY, LATEST, EQ('status', 'success'))):
        yield f'event counts {subject} {q}', lambda db: db.event_counts(subject, query=q)
        yield f'event counts by certname {subject} {q}', lambda db: db.event_counts(subject, query=q, count_by='certname')
        yield f'event counts filtered {subject} {q}', lambda db: db.event_counts(subject, query=q, count_filter='[">","successes",1]')
        yield f'aggregate event counts {subject} {q}', lambda db: db.aggregate_event_counts(subject, query=q)
        yield f'aggregate event counts filtered {subject} {q}', lambda db: db.aggregate_event_counts(subject, query=q, count_by='certname', count_filter='["=","noops",0]')
    yield 'aggregate event counts of several', lambda db: db.aggregate_event_counts('certname,resource', query=LATEST)


CUMIN = [
    '*', 'web*', 'web[1-2].example.com', 'not web1.example.com', 'R:File', 'R:Class = app::base', 'C:App::Base', 'C:apache', 'P:Base', 'O:Web',
    'R:File@title ~ "/etc/.*"', 'R:File%ensure = file', 'R:File%mode = "0644"', 'R:File@line > 3', 'R:File@exported = true', 'R:Class@tag = class',
    'not R:File', 'F:kernel = Linux', 'F:processorcount > 1', 'F:processorcount >= 2', 'F:processorcount < 3', 'F:os.family = Debian',
    'F:os.release.major > 5', 'F:is_virtual = true', 'F:kernel ~ "L.*"', r'F:puppetversion ~ "^7\."', 'not F:os.family = Debian', 'web* and not web1*',
    '(F:kernel = Linux and web*) or db*', 'F:nosuch = 1', 'R:Nosuch', 'R:File@nosuch = 1', 'R:Exec and R:File@title ~ "foo"', 'C:Apache%docroot ~ ".*"',
]


def main(url, wanted=None):
    logging.disable(logging.CRITICAL)
    parts = urllib.parse.urlsplit(url)
    db = pypuppetdb.connect(host=parts.hostname, port=parts.port)
    config = {'puppetdb': {'scheme': 'http', 'host': parts.hostname, 'port': parts.port}}
    hosts = [(f'cumin {q}', lambda _, q=q: str(PuppetDBQuery(config).execute(q))) for q in CUMIN]
    for name, call in itertools.chain(calls(), hosts):
        try:
            got = canonical(plain(call(db)))
        except requests.HTTPError as e:
            got = {'status': e.response.status_code}
        except (pypuppetdb.errors.DoesNotComputeError, StopIteration, TypeError) as e:
            got = {type(e).__name__: str(e)}
        text = json.dumps(got, sort_keys=True)
        if wanted is None:
            size = len(got) if isinstance(got, list) else 1
            print(json.dumps({'call': name, 'size': size, 'sha1': hashlib.sha1(text.encode()).hexdigest()[:16]}))
        elif name == wanted:
            print(json.dumps(got, sort_keys=True, indent=1))


main(*sys.argv[1:])
