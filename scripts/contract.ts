import { contractDocuments } from './contract-documents.ts'
import { output } from './output.ts'

output(await contractDocuments(), 'npm run contract')
