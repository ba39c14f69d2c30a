package config

// Flags are the settings that have a flag of their own, by name of the flag.
// Every other one can be given as --set section.key=value.
func Flags() map[string]string {
	return map[string]string{
		"data": "dalang.data", "listen": "dalang.listen",
		"tls-listen": "dalang.tls-listen", "tls-cert": "jetty.ssl-cert", "tls-key": "jetty.ssl-key", "tls-ca": "jetty.ssl-ca-cert",
		"orchestrator-listen": "orchestrator.listen", "pcp-listen": "pcp.listen",
		"log-format": "log.format", "log-level": "log.level",
	}
}

// FlagName is how a setting is given on the command line.
func FlagName(key string) string {
	for flag, k := range Flags() {
		if k == key {
			return "--" + flag
		}
	}
	return "--set " + key
}
