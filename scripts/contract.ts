import { contractDocuments } from './contract-documents.ts'
import { factsDocuments } from './facts-documents.ts'
import { output } from './output.ts'

output({ ...await contractDocuments(), ...factsDocuments() }, 'npm run contract')
