"""What this project takes from others: versions, licences, known vulnerabilities. `make audit`."""
