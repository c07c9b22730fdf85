import { output } from './output.ts'
import { settingsDocuments } from './settings-documents.ts'

output(settingsDocuments(), 'npm run settings')
