package config

// retired are PuppetDB's settings that Dalang has no use for, each with the
// reason. A key of "*" stands for the whole section.
func retired(section, key string) (reason string, ok bool) {
	reasons := map[string]map[string]string{
		"global": {
			"logging-config": "the section log says how to log",
			"product-name":   "there is one product",
			"update-server":  "Dalang does not phone home",
			"event-queue":    "PuppetDB retired it",
			"url-prefix":     "PuppetDB retired it",
		},
		"database":      postgres(),
		"read-database": {"*": "queries read the one database"},
		"command-processing": {
			"concurrent-writes":         "the database has one writer",
			"dlo-compression-threshold": "PuppetDB retired it",
			"store-usage":               "PuppetDB retired it",
			"temp-usage":                "PuppetDB retired it",
			"memory-usage":              "PuppetDB retired it",
			"max-frame-size":            "PuppetDB retired it",
		},
		"jetty": {
			"max-threads":               "connections are not threads",
			"request-body-max-size":     "dalang.max-body bounds commands",
			"graceful-shutdown-timeout": "dalang.shutdown-timeout says it",
			"shutdown-timeout-seconds":  "dalang.shutdown-timeout says it",
			"access-log-config":         "requests are logged with the rest",
			"ssl-cert-chain":            "put the chain into ssl-cert",
			"key-store":                 "use ssl-key and ssl-cert",
			"keystore":                  "use ssl-key and ssl-cert",
			"key-password":              "use ssl-key and ssl-cert",
			"trust-store":               "use ssl-ca-cert",
			"truststore":                "use ssl-ca-cert",
			"trust-password":            "use ssl-ca-cert",
		},
		"puppetdb": {
			"disable-update-checking":   "Dalang does not phone home",
			"historical-catalogs-limit": "PuppetDB retired it",
		},
		"nrepl":   {"*": "there is no REPL"},
		"repl":    {"*": "there is no REPL"},
		"metrics": {"*": "/metrics and /metrics/v2 are always served"},
		"sync":    {"*": "it belongs to Puppet Enterprise"},
	}
	keys := reasons[section]
	if reason, ok = keys["*"]; ok {
		return reason, true
	}
	reason, ok = keys[key]
	return reason, ok
}

// postgres are the settings of PuppetDB's connections.
func postgres() map[string]string {
	reasons := map[string]string{}
	for why, keys := range map[string][]string{
		"the database is a file in the data directory": {
			"subname", "username", "user", "password", "migrator-username", "migrator-password", "connection-username",
			"connection-migrator-username", "migrate", "maximum-pool-size", "conn-max-age", "conn-lifetime",
			"connection-timeout", "schema-check-interval", "classname", "subprotocol",
		},
		"PuppetDB does not use it either": {
			"partition-conn-min", "partition-conn-max", "partition-count", "stats", "log-statements", "read-only?",
			"syntax_pgs", "log-slow-statements", "conn-keep-alive", "statements-cache-size",
		},
	} {
		for _, key := range keys {
			reasons[key] = why
		}
	}
	return reasons
}

// Kinds of names that a setting has beside its own.
const (
	sameName  = ""
	oldName   = "the old name"
	aliasName = "another name"
)

// otherName finds the setting that goes by another name: PuppetDB's old ones,
// and Dalang's settings in those sections of PuppetDB where one looks for them.
func otherName(id string) (key, kind string) {
	switch id {
	case "database.facts-blacklist":
		return "database.facts-blocklist", oldName
	case "database.facts-blacklist-type":
		return "database.facts-blocklist-type", oldName
	case "puppetdb.certificate-whitelist":
		return "puppetdb.certificate-allowlist", oldName
	case "command-processing.verify-checksum":
		return "dalang.verify-checksum", aliasName
	case "jetty.allow-cleartext":
		return "dalang.allow-cleartext", aliasName
	}
	return id, sameName
}
